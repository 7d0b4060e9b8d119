import { parseUnit, unitValue } from './unit-file.ts'

/**
 * The control group, below the cgroup root, that systemd gives to a service of the system manager, by the unit's own
 * `Slice=`. A drop-in of the administrator that moves the unit to another slice is not known here.
 */
export function unitCgroup(unitText: string, container: string): string {
  const slice = unitValue(parseUnit(unitText), 'Service', 'Slice') ?? 'system.slice'
  return [...sliceParts(slice), `${container}.service`].map((part) => `/${groupName(part)}`).join('')
}

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
