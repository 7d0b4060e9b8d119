import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { containerCgroup } from '../bundle/runtime-configuration.ts'
import { sliceCgroup } from '../bundle/unit-cgroup.ts'
import { ForerunError } from '../errors.ts'
import { type HostPaths, unitName } from '../host/paths.ts'
import { readDeployment } from '../store/deployment.ts'
import { unitDropIns } from '../systemd/unit-drop-ins.ts'

/**
 * Compares the slice in which systemd has the unit of a container with the one that its configuration was made for.
 *
 * @param slice undefined for a unit that is no service.
 * @throws ForerunError `unit` when they differ: the container would run outside of its unit.
 */
export function refuseOtherSlice(unit: string, slice: string | undefined, paths: HostPaths): void {
  if (slice === undefined) return
  const name = basename(unit, '.service')
  // Of one that was taken over it is in no group of its unit, as it was before.
  if (readDeployment(paths.containers, name)?.info.forerun.adopted === true) return
  const cgroupsPath = configuredCgroup(join(paths.containers, name, 'config.json'))
  if (cgroupsPath === containerCgroup(sliceCgroup(slice, name))) return
  const files = unitDropIns(unitName(name)).map(({ path }) => path)
  throw new ForerunError('unit', `systemd has ${unit} in ${slice}, and the container would be in ${cgroupsPath}`, {
    hint: `Look for Slice= in ${files.length === 0 ? "the image's unit" : files.join(', ')}, and give the name of a slice there.`,
  })
}

function configuredCgroup(file: string): string | undefined {
  const configuration = JSON.parse(readFileSync(file, 'utf8')) as { linux?: { cgroupsPath?: string } }
  return configuration.linux?.cgroupsPath
}
