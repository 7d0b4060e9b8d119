import type { AllowedCalls, Privilege } from './privilege.ts'
import type { Seccomp, SeccompRule } from './runtime-schema.ts'

/** Which system calls a container may make. */
export function seccompPrivileges(seccomp: Seccomp | undefined): Privilege[] {
  if (seccomp === undefined) {
    return [{ kind: 'seccomp', key: 'none', text: 'any system call: there is no filter', weight: 'ordinary' }]
  }
  const calls = allowedCalls(seccomp)
  const { length } = calls.allowed.filter((call) => !/[( ]/.test(call))
  const text =
    calls.others === 'refused'
      ? `a filter lets ${length} system calls through`
      : `a filter refuses ${calls.refused.length} system calls, and lets all others through`
  const listener = seccomp.listenerPath
  return [
    { kind: 'seccomp', key: 'filter', text, weight: 'ordinary', calls },
    ...(listener === undefined
      ? []
      : [
          {
            kind: 'seccomp' as const,
            key: `listener ${listener}`,
            text: `the program at ${listener} decides over its system calls`,
            weight: 'ordinary' as const,
          },
        ]),
  ]
}

/**
 * The calls that a filter lets through; also those that it only logs or hands to another program. Where several rules name one, the
 * one that allows counts.
 */
export function allowedCalls({ defaultAction, architectures = [], syscalls = [] }: Seccomp): AllowedCalls {
  const allowing = syscalls.filter(({ action }) => isAllowed(action))
  const allowed = new Set(allowing.flatMap(ruleCalls))
  if (isAllowed(defaultAction)) {
    const refusing = syscalls.filter(({ action }) => !isAllowed(action))
    const refused = refusing.flatMap(ruleCalls).filter((call) => !allowed.has(call))
    return { others: 'allowed', allowed: [], refused: sorted(refused) }
  }
  // The architecture of the host itself is always one of them.
  const others = architectures.filter((name) => !/_(?:X86_64|AARCH64)$/.test(name))
  return {
    others: 'refused',
    allowed: sorted([...allowed, ...others.map((name) => `programs of ${name.replace('SCMP_ARCH_', '')}`)]),
    refused: [],
  }
}

/** What one filter allows beyond another, as words; empty for nothing. */
export function moreCalls(before: AllowedCalls, after: AllowedCalls): string[] {
  if (after.others === 'refused') {
    const isNamed = naming(before.others === 'allowed' ? before.refused : before.allowed)
    return after.allowed.filter((call) => isNamed(call) === (before.others === 'allowed'))
  }
  if (before.others === 'refused') return ['all calls that no rule refuses']
  const isRefused = naming(after.refused)
  return before.refused.filter((call) => !isRefused(call))
}

/** A call without its arguments stands for every one with them. */
function naming(calls: readonly string[]): (call: string) => boolean {
  const named = new Set(calls)
  return (call) => named.has(call) || named.has(call.replace(/\(.*/, ''))
}

function isAllowed(action: Seccomp['defaultAction']): boolean {
  return ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE', 'SCMP_ACT_NOTIFY'].includes(action)
}

function ruleCalls({ names, args = [] }: SeccompRule): string[] {
  if (args.length === 0) return [...names]
  const conditions = args.map(({ index, value, valueTwo, op }) =>
    [index, op.replace('SCMP_CMP_', ''), value, ...(valueTwo === undefined ? [] : [valueTwo])].join(' '),
  )
  return names.map((name) => `${name}(${conditions.sort().join(', ')})`)
}

function sorted(words: readonly string[]): string[] {
  return [...new Set(words)].sort()
}
