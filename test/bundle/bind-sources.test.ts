import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refuseNestedSources } from '../../src/bundle/bind-sources.ts'
import type { RuntimeConfiguration } from '../../src/bundle/runtime-schema.ts'

function check(sources: Record<string, string>, changes: Partial<RuntimeConfiguration> = {}): void {
  refuseNestedSources({
    ociVersion: '1.0.2',
    process: { cwd: '/', args: ['x'] },
    root: { path: 'rootfs', readonly: true },
    mounts: Object.entries(sources).map(([source, options], index) => ({
      destination: `/${index}`,
      type: 'bind',
      source,
      options: options.split(','),
    })),
    linux: { namespaces: [{ type: 'mount' }] },
    ...changes,
  })
}

const nested = { '/srv/app': 'rbind,rw', '/srv/app/a/cron.d': 'rbind,ro' }

test('a source in that of a writable mount is refused', () => {
  assert.throws(() => check(nested), {
    code: 'configuration',
    message: /^'\/srv\/app\/a\/cron\.d' cannot be mounted in '\/1': the container may write to '\/srv\/app'/,
  })
  assert.throws(() => check({ '/var/run/app': 'bind', '/run/app/x/../y': 'bind' }), { code: 'configuration' })
})

test('sources that lie beside each other, or in one that is read-only, are taken', () => {
  check({ '/srv/app': 'rbind,rw', '/srv/app2': 'rbind,rw', '/srv/b': 'bind,ro', '/srv/b/c': 'bind,rw' })
})

test('who has power over the host gains nothing by a link, and is taken', () => {
  check(nested, { process: { cwd: '/', args: ['x'], capabilities: { bounding: ['CAP_SYS_ADMIN'] } } })
  check(nested, { linux: { namespaces: [{ type: 'pid' }] } })
  check({ '/run': 'rbind,rw', '/var/run/docker.sock': 'bind', '/': 'rbind', '/srv/app/x': 'bind' })
})
