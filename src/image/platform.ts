import { existsSync, readFileSync } from 'node:fs'
import { endianness } from 'node:os'
import { ForerunError } from '../errors.ts'

/** OCI image specification, "Image Index", `platform`, with Go's names for architectures. */
export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
  readonly 'os.version'?: string
  readonly 'os.features'?: readonly string[]
}

/**
 * The platform whose programs this host runs, with the best variant that its processor knows: `arm/v7`, `amd64/v3`.
 * `arch` is Node's name for the architecture, `cpuinfo` what the kernel tells in /proc/cpuinfo.
 */
export function hostPlatform({
  arch = process.arch as string,
  // Absent in a build's chroot; the least variant is then assumed.
  cpuinfo = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '',
}: {
  arch?: string
  cpuinfo?: string
} = {}): Platform {
  const architecture = goArchitecture(arch)
  const variant = processorVariant(architecture, cpuinfo)
  return { os: 'linux', architecture, ...(variant !== undefined && { variant }) }
}

/** Reads `OS/ARCHITECTURE[/VARIANT]`. @throws ForerunError `usage` */
export function parsePlatform(text: string): Platform {
  const match = /^([a-z0-9]+)\/([a-z0-9_]+)(?:\/([a-z0-9.]+))?$/.exec(text)
  const [, os, architecture, variant] = match ?? []
  if (os === undefined || architecture === undefined) {
    throw new ForerunError('usage', `'${text}' is not a platform`, {
      hint: 'A platform is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, as linux/arm64 or linux/arm/v7.',
    })
  }
  return { os, architecture: goArchitecture(architecture), ...(variant !== undefined && { variant }) }
}

/** `linux/arm/v7` */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`
}

/**
 * Checks that programs for `offered` run on `wanted`. An empty architecture or operating system says nothing and passes.
 *
 * @throws ForerunError `platform`
 */
export function checkPlatform(offered: Platform, wanted: Platform): void {
  if (!runsOn(offered, wanted)) throw unavailable(wanted, [offered])
}

/** As `checkPlatform`, without throwing. */
export function runsOn(offered: Platform, wanted: Platform): boolean {
  const stated = { ...offered, os: offered.os || wanted.os, architecture: offered.architecture || wanted.architecture }
  return variantRank(stated, wanted) !== undefined
}

/** Go's names; those of Node, of uname and of Debian become them. */
function goArchitecture(name: string): string {
  if (name === 'ppc64' && endianness() === 'LE') return 'ppc64le'
  return goNames[name] ?? name
}

const goNames: Readonly<Record<string, string>> = {
  x64: 'amd64',
  x86_64: 'amd64',
  aarch64: 'arm64',
  armhf: 'arm',
  ia32: '386',
  i386: '386',
  mipsel: 'mipsle',
}

function processorVariant(architecture: string, cpuinfo: string): string | undefined {
  if (architecture === 'amd64') return amd64Level(cpuinfo)
  if (architecture === 'arm') return armVersion(cpuinfo)
  return undefined
}

/** The levels of the x86-64 psABI, by the kernel's names of their features; each includes the one before. */
const amd64Levels = [
  ['v2', 'cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3'],
  ['v3', 'abm avx avx2 bmi1 bmi2 f16c fma movbe xsave'],
  ['v4', 'avx512f avx512bw avx512cd avx512dq avx512vl'],
] as const

function amd64Level(cpuinfo: string): string | undefined {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(' '))
  const lacking = amd64Levels.findIndex(([, features]) => !features.split(' ').every((feature) => flags.has(feature)))
  const known = lacking < 0 ? amd64Levels.length : lacking
  return amd64Levels[known - 1]?.[0]
}

function armVersion(cpuinfo: string): string {
  const version = /^CPU architecture\s*:\s*(\d+|AArch64)/m.exec(cpuinfo)?.[1]
  // The first Raspberry Pi's kernel says 7 for a processor of version 6.
  const isMisnamed = version === '7' && /ARMv6-compatible/.test(cpuinfo)
  if (isMisnamed) return 'v6'
  return version === undefined ? 'v7' : version === 'AArch64' ? 'v8' : `v${version}`
}

/** 0 for the best variant, more for lesser ones, undefined when the host cannot run it. */
export function variantRank(offered: Platform, wanted: Platform): number | undefined {
  if (offered.os !== wanted.os || goArchitecture(offered.architecture) !== wanted.architecture) return undefined
  // Some tools write 7 for v7.
  const variant = offered.variant?.replace(/^(?=\d)/, 'v') ?? ''
  const rank = runnableVariants(wanted).indexOf(variant)
  return rank < 0 ? undefined : rank
}

/** Best first; the empty one is an entry without a variant. */
function runnableVariants({ architecture, variant }: Platform): readonly string[] {
  // Who asks for no variant gets the entry that names none, and else the best; a host always knows its own.
  if (architecture === 'arm')
    return variant === undefined ? ['', ...descending('v7', 5)] : [...descending(variant, 5), '']
  if (architecture === 'amd64') return [...descending(variant ?? 'v1', 1), '']
  // Version 8 is the first of arm64, and the same as none; later ones include it.
  if (architecture === 'arm64') return [...(variant?.startsWith('v9') ? [variant] : []), 'v8', '']
  return variant === undefined ? [''] : [variant, '']
}

function descending(variant: string, lowest: number): string[] {
  const highest = Number(variant.slice(1))
  if (!Number.isInteger(highest) || highest < lowest || highest > 16) return [variant]
  return Array.from({ length: highest - lowest + 1 }, (_, index) => `v${highest - index}`)
}

export function unavailable(wanted: Platform, offered: readonly Platform[]): ForerunError {
  const names = [...new Set(offered.map(formatPlatform))].join(', ')
  const only = names === '' ? '' : `, but for ${names}`
  return new ForerunError('platform', `the image is not made for ${formatPlatform(wanted)}${only.slice(0, 500)}`, {
    hint: 'Choose an image, or a tag of it, that was built for this host.',
  })
}
