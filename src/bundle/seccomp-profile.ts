import { constants } from 'node:os'
import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { seccompArchitectures } from './default-seccomp.ts'
import { seccompSchema } from './linux-schema.ts'
import type { Seccomp } from './runtime-schema.ts'

/** For whom a profile is resolved. */
export interface SeccompTarget {
  /** Go's name. */
  readonly architecture: string
  readonly capabilities: readonly string[]
  /** `6.1.0-18-amd64` */
  readonly kernel: string
}

/**
 * Reads the profile of container engines (`/usr/share/containers/seccomp.json`), whose rules have conditions, into what a
 * runtime takes: the rules that hold for this architecture, these capabilities and this kernel.
 *
 * @throws ForerunError `settings` when it is no such profile.
 */
export function parseSeccompProfile(text: string, file: string, target: SeccompTarget): Seccomp {
  const parsed = v.safeParse(profileSchema, json(text, file))
  if (!parsed.success) {
    const [issue] = parsed.issues
    throw broken(file, `${v.getDotPath(issue) ?? 'the whole'} is not what it should be: ${issue.message}`)
  }
  const { architectures = [], archMap = [], syscalls } = parsed.output
  const native = seccompArchitectures[target.architecture]?.[0]
  const mapped = archMap.find(({ architecture }) => architecture === native)
  const known = mapped === undefined ? architectures : [mapped.architecture, ...(mapped.subArchitectures ?? [])]
  const defaultErrnoRet = errorNumber(parsed.output.defaultErrno, file) ?? parsed.output.defaultErrnoRet
  const profile = {
    defaultAction: parsed.output.defaultAction,
    ...(defaultErrnoRet === undefined || defaultErrnoRet === null ? {} : { defaultErrnoRet }),
    architectures: known,
    syscalls: syscalls
      .filter((rule) => holds(rule, target))
      .map((rule) => runtimeRule(rule, file))
      .filter(({ names }) => names.length > 0),
  }
  const checked = v.safeParse(seccompSchema, profile)
  if (checked.success) return checked.output
  const [issue] = checked.issues
  throw broken(file, `${v.getDotPath(issue) ?? 'the whole'} is not what a runtime takes: ${issue.message}`)
}

const conditions = v.optional(
  v.nullable(
    v.object({
      caps: v.optional(v.nullable(v.array(v.string()))),
      arches: v.optional(v.nullable(v.array(v.string()))),
      minKernel: v.optional(v.nullable(v.string())),
    }),
  ),
)

const ruleSchema = v.object({
  names: v.optional(v.array(v.string())),
  name: v.optional(v.string()),
  action: v.string(),
  errnoRet: v.optional(v.nullable(v.number())),
  errno: v.optional(v.nullable(v.string())),
  args: v.optional(
    v.nullable(
      v.array(v.object({ index: v.number(), value: v.number(), valueTwo: v.optional(v.number()), op: v.string() })),
    ),
  ),
  includes: conditions,
  excludes: conditions,
})

const profileSchema = v.object({
  defaultAction: v.string(),
  defaultErrnoRet: v.optional(v.nullable(v.number())),
  defaultErrno: v.optional(v.nullable(v.string())),
  architectures: v.optional(v.array(v.string())),
  archMap: v.optional(
    v.array(v.object({ architecture: v.string(), subArchitectures: v.optional(v.nullable(v.array(v.string()))) })),
  ),
  syscalls: v.array(ruleSchema),
})

type Rule = v.InferOutput<typeof ruleSchema>

/** All that is included has to be so, and nothing that is excluded may. */
function holds({ includes, excludes }: Rule, { architecture, capabilities, kernel }: SeccompTarget): boolean {
  const { caps = [], arches = [], minKernel } = includes ?? {}
  if ((arches ?? []).length > 0 && !arches?.includes(architecture)) return false
  if ((caps ?? []).some((capability) => !capabilities.includes(capability))) return false
  if (minKernel && isOlder(kernel, minKernel)) return false
  if (excludes?.arches?.includes(architecture)) return false
  if (excludes?.caps?.some((capability) => capabilities.includes(capability))) return false
  return !(excludes?.minKernel && !isOlder(kernel, excludes.minKernel))
}

function isOlder(kernel: string, than: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10))
  const [wantedMajor = 0, wantedMinor = 0] = than.split('.').map((part) => Number.parseInt(part, 10))
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor)
}

function runtimeRule({ name, names = [], action, args, ...rule }: Rule, file: string) {
  const errnoRet = errorNumber(rule.errno, file) ?? rule.errnoRet
  return {
    names: name === undefined ? names : [name, ...names],
    action,
    ...(errnoRet === undefined || errnoRet === null ? {} : { errnoRet }),
    ...(args ? { args } : {}),
  }
}

/** Newer profiles name errors, and that name counts before a number that stands beside it. */
function errorNumber(name: string | null | undefined, file: string): number | undefined {
  if (!name) return undefined
  const number = /^\d+$/.test(name) ? Number(name) : (constants.errno as Record<string, number>)[name]
  if (number === undefined) throw broken(file, `'${name}' is no error of this system`)
  return number
}

function json(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw broken(file, (cause as Error).message, cause)
  }
}

function broken(file: string, problem: string, cause?: unknown): ForerunError {
  return new ForerunError('settings', `the seccomp profile '${file}' cannot be used: ${problem}`, {
    cause,
    hint: `Mend ${file}, or remove it: forerun has a profile of its own.`,
  })
}
