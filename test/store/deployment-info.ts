import type { DeploymentInfo } from '../../src/store/deployment.ts'

/** The `info` of a service that has placed nothing, with other keys in place of these. */
export function deploymentInfo({
  forerun,
  ...more
}: Partial<Omit<DeploymentInfo, 'forerun'>> & { forerun?: Partial<DeploymentInfo['forerun']> } = {}): DeploymentInfo {
  return {
    image: 'registry.example.com/app:1',
    revision: `sha256:${'0'.repeat(64)}`,
    created: 1,
    values: {},
    'has-container-service': true,
    'installed-files': [],
    'installed-files-checksum': {},
    'installed-files-template': [],
    'rename-installed-files': {},
    'rpm-installed': null,
    'system-package': 'no',
    remote: null,
    'use-links': true,
    runtime: '/usr/bin/runc',
    ...more,
    forerun: { version: '1', manifest: `sha256:${'1'.repeat(64)}`, 'tmpfiles-made': [], ...forerun },
  }
}
