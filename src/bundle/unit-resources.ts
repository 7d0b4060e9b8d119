import type { RuntimeConfiguration } from './runtime-schema.ts'

/** A line of a unit's `[Service]` section. */
export type ResourceSetting = readonly [key: string, value: string]

type Resources = NonNullable<NonNullable<RuntimeConfiguration['linux']>['resources']>

/**
 * Moves limits from the configuration to the unit (systemd.resource-control(5)). A unit's group in which the runtime
 * itself runs cannot hand controllers on to the container's group below it, so limits there could not be set; on the
 * unit they hold, and `systemctl show` tells them. What systemd has no word for stays where it is.
 */
export function unitResources(configuration: RuntimeConfiguration): {
  configuration: RuntimeConfiguration
  settings: readonly ResourceSetting[]
} {
  const { resources, ...linux } = configuration.linux ?? {}
  if (resources === undefined) return { configuration, settings: [] }
  const { memory, pids, cpu, blockIO, unified, ...others } = resources
  const kept: Resources = { ...others, ...keptBlockIo(blockIO), ...keptUnified(unified) }
  return {
    configuration: { ...configuration, linux: { ...linux, resources: kept } },
    settings: [
      ...memorySettings(memory),
      ...(pids?.limit === undefined ? [] : [tasksMax(pids.limit)]),
      ...cpuSettings(cpu),
      ...(blockIO?.weight === undefined ? [] : [['IOWeight', `${ioWeight(blockIO.weight)}`] as const]),
      ...unifiedSettings(unified),
    ],
  }
}

type Amount = number | bigint

function limit(value: Amount): string {
  return BigInt(value) < 0n ? 'infinity' : `${value}`
}

/** `swap` counts memory and swap together, as version 1 of control groups does; systemd counts swap alone. */
function memorySettings(memory: Resources['memory']): ResourceSetting[] {
  const settings: ResourceSetting[] = []
  if (memory?.limit !== undefined) settings.push(['MemoryMax', limit(memory.limit)])
  if (memory?.reservation !== undefined) settings.push(['MemoryLow', limit(memory.reservation)])
  if (memory?.swap !== undefined) {
    const together =
      memory.swap < 0 || memory.limit === undefined ? memory.swap : BigInt(memory.swap) - BigInt(memory.limit)
    settings.push(['MemorySwapMax', limit(together)])
  }
  return settings
}

/** 0 and less are no limit (runtime specification, "PIDs"). */
function tasksMax(value: Amount): ResourceSetting {
  return ['TasksMax', value <= 0 ? 'infinity' : `${value}`]
}

function cpuSettings(cpu: Resources['cpu']): ResourceSetting[] {
  const settings: ResourceSetting[] = []
  if (cpu?.shares !== undefined && cpu.shares > 0) settings.push(['CPUWeight', `${cpuWeight(cpu.shares)}`])
  if (cpu?.quota !== undefined && cpu.quota > 0) {
    const period = Number(cpu.period ?? defaultPeriod)
    settings.push(['CPUQuota', `${Math.max(1, Math.round((Number(cpu.quota) * 100) / period))}%`])
    if (cpu.period !== undefined) settings.push(['CPUQuotaPeriodSec', `${cpu.period}us`])
  }
  if (cpu?.cpus) settings.push(['AllowedCPUs', cpu.cpus])
  if (cpu?.mems) settings.push(['AllowedMemoryNodes', cpu.mems])
  return settings
}

/** Microseconds. */
const defaultPeriod = 100_000

/** From 2…262144 to 1…10000, in the line that runtimes take. */
function cpuWeight(shares: Amount): number {
  const bounded = Math.min(262_144, Math.max(2, Number(shares)))
  return 1 + Math.floor(((bounded - 2) * 9999) / 262_142)
}

/** From 10…1000 to 1…10000, likewise. */
function ioWeight(weight: Amount): number {
  return Math.max(1, 1 + Math.floor(((Math.min(1000, Math.max(10, Number(weight))) - 10) * 9999) / 990))
}

function keptBlockIo(blockIO: Resources['blockIO']): Pick<Resources, 'blockIO'> {
  const { weight: _, ...kept } = blockIO ?? {}
  return Object.keys(kept).length === 0 ? {} : { blockIO: kept }
}

/** Files of version 2 and the setting that writes them. */
const unifiedKeys: Readonly<Record<string, string>> = {
  'memory.max': 'MemoryMax',
  'memory.high': 'MemoryHigh',
  'memory.low': 'MemoryLow',
  'memory.min': 'MemoryMin',
  'memory.swap.max': 'MemorySwapMax',
  'pids.max': 'TasksMax',
  'cpu.weight': 'CPUWeight',
  'cpuset.cpus': 'AllowedCPUs',
  'cpuset.mems': 'AllowedMemoryNodes',
}

function unifiedSettings(unified: Resources['unified']): ResourceSetting[] {
  return Object.entries(unified ?? {}).flatMap(([file, value]) => {
    const key = unifiedKeys[file]
    return key === undefined ? [] : [[key, value === 'max' ? 'infinity' : value] as const]
  })
}

function keptUnified(unified: Resources['unified']): Pick<Resources, 'unified'> {
  const kept = Object.entries(unified ?? {}).filter(([file]) => unifiedKeys[file] === undefined)
  return kept.length === 0 ? {} : { unified: Object.fromEntries(kept) }
}
