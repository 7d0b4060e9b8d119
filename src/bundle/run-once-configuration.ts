import { type BundleInput, ownConfiguration, unusedAssignments } from './bundle.ts'
import { readExports } from './exports.ts'
import { fitToHost } from './host-fit.ts'
import { type MountPoint, mountPoints, sourceKind } from './mount-points.ts'
import type { RuntimeConfiguration } from './runtime-schema.ts'
import { deploymentValues } from './values.ts'

/** What is run of an image that is run once. */
export interface RunOnceConfiguration {
  /** Its root is `rootfs` beside it, and can be written to. */
  readonly configuration: RuntimeConfiguration
  /** What has to exist in the root file system. */
  readonly mountPoints: readonly MountPoint[]
  /** What the user should know, one sentence each. */
  readonly notices: readonly string[]
}

/**
 * Prepares the configuration of an image that is run once: that of its template, or one made from the image's own configuration. Its
 * unit, tmpfiles lines and host files are not looked at. Its volumes are folders of the root, which is thrown away.
 *
 * @throws ForerunError `exports`, `template`, `configuration`.
 */
export function runOnceConfiguration(given: BundleInput): RunOnceConfiguration {
  const input = { ...given, image: { ...given.image, config: { ...given.image.config, volumes: [] } } }
  const exports = readExports(input.files)
  const values = deploymentValues(input.deployment, {
    assignments: input.assignments,
    defaults: exports.manifest.defaultValues,
    detached: false,
  })
  const { own, notices } = ownConfiguration(input, exports, values)
  const fitted = fitToHost(own, { ...input.securityModules, ...input.deployment })
  const { configuration } = fitted
  return {
    configuration: { ...configuration, root: { ...configuration.root, readonly: false } },
    mountPoints: mountPoints(configuration, (source) => sourceKind(source, input.files, input.hostKind)),
    // Those of an image's own configuration are of what a service does not have.
    notices: [
      ...unusedAssignments(input, exports),
      ...(exports.configuration === undefined ? notices : []),
      ...fitted.notices,
    ],
  }
}
