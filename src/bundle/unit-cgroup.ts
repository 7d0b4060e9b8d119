import { parseUnit, unitValue } from './unit-file.ts'
import { unitArgument } from './unit-word.ts'

/**
 * The control group, below the cgroup root, that systemd gives to a service of the system manager, by the `Slice=` of the
 * unit and of its drop-ins, in the order in which systemd reads them. What systemd itself says counts: see `sliceCgroup`.
 */
export function unitCgroup(unitTexts: readonly string[], container: string): string {
  const settings = unitTexts.flatMap(parseUnit)
  return sliceCgroup(unitValue(settings, 'Service', 'Slice') ?? 'system.slice', container)
}

/** The control group of a service in a slice. */
export function sliceCgroup(slice: string, container: string): string {
  return [...sliceParts(slice), `${container}.service`].map((part) => `/${groupName(part)}`).join('')
}

/**
 * A command for `ExecStartPre=` that fails where systemd has the unit in another control group. The container's group is
 * written in config.json: in another one than the unit's it would escape the unit. Where control groups are of version 1
 * alone, nothing is known.
 */
export function requireCgroup(cgroup: string): string {
  return `/bin/sh -c '${inCgroup.replaceAll('$', '$$$$')}' sh ${unitArgument(cgroup)}`
}

const inCgroup = [
  'g=$(sed -n s/^0:://p /proc/self/cgroup)',
  'case "$g" in ""|*"$1"|*"$1"/*) exit 0; esac',
  'echo "The unit is in the control group $g now, and its container would be in $1: install it anew, or take away the Slice= that was added since" >&2',
  'exit 1',
].join('; ')

/** `a-b.slice` lies in `a.slice`; `-.slice` is the root. Systemd's own escapes, such as `\x2d`, have no dash and stay. */
function sliceParts(slice: string): string[] {
  const name = slice.replace(/\.slice$/, '')
  if (name === '-') return []
  const parts = name.split('-')
  return parts.map((_, index) => `${parts.slice(0, index + 1).join('-')}.slice`)
}

const controllers =
  /^(?:cpu|cpuacct|cpuset|io|blkio|memory|devices|pids|bpf-firewall|bpf-devices|bpf-foreign|bpf-socket-bind|bpf-restrict-network-interfaces)\./

/** Systemd puts `_` before names that the kernel could take for its own files: `memory.service` is `_memory.service`. */
function groupName(name: string): string {
  return /^(?:[_.]|cgroup\.)/.test(name) || controllers.test(name) ? `_${name}` : name
}
