import type { ToldPrivilege as Privilege } from '../../bundle/privilege.ts'
import { printableText } from './printable.ts'

/**
 * A line for each privilege, `!` before those that give power over the host; ordinary ones that are alike share a line. What an
 * image wrote is shown whole: a command in which something looks like a password could hide more than that.
 */
export function privilegeLines(privileges: readonly Privilege[]): string[] {
  const powerful = privileges.filter(({ weight }) => weight === 'power')
  const groups = Map.groupBy(
    privileges.filter(({ weight }) => weight !== 'power'),
    groupOf,
  )
  const lines = [
    ...powerful.map(({ text }) => `! ${text}`),
    ...[...groups.values()].map((group) => `  ${joined(group)}`),
  ]
  return lines.map(oneLine)
}

/** What a next deployment has more, and what it has no more, than the one before. Empty where there is no difference. */
export function differenceLines({ more, less }: Record<'more' | 'less', readonly Privilege[]>): string[] {
  return [
    ...(more.length === 0 ? [] : ['It may do what the deployment before could not:', ...privilegeLines(more)]),
    ...(less.length === 0 ? [] : ['It may no longer do:', ...privilegeLines(less)]),
  ]
}

/** Those of one group are told by one line. */
function groupOf({ kind, key }: Privilege): string {
  const [first = '', second] = key.split(' ')
  if (kind === 'capability') return `${kind} ${second}`
  if (kind === 'dependency' || kind === 'kernel-path') return `${kind} ${first}`
  if (kind === 'namespace' && second === 'host') return `${kind} host`
  if (kind === 'security-module' && second === 'none') return `${kind} none`
  return `${kind} ${key}`
}

function joined(group: readonly Privilege[]): string {
  const [first] = group
  if (first === undefined) return ''
  const [word = ''] = first.key.split(' ')
  const names = group.map(({ key }) => key.slice(key.indexOf(' ') + 1)).join(', ')
  if (first.kind === 'namespace') {
    return first.key.endsWith(' host')
      ? `has the host's ${group.map(({ text }) => text.replace(/ of the host$/, '')).join(', ')}`
      : first.text
  }
  if (group.length === 1) return first.text
  if (first.kind === 'capability') {
    const namespaced = first.key.endsWith(' namespaced') ? ' in its own user namespace' : ''
    return `capabilities${namespaced} ${group.map(({ key }) => key.replace(/^CAP_| .*/g, '')).join(', ')}`
  }
  if (first.kind === 'security-module') return 'neither AppArmor nor SELinux confines it'
  if (first.kind === 'kernel-path') {
    return word === 'unmasked' ? `sees ${names}, which usually are hidden` : `may write to ${names}`
  }
  const [other = ''] = first.key.split(' ').slice(1)
  return first.text.replace(` ${other} (`, () => ` ${names} (`)
}

function oneLine(text: string): string {
  return printableText(text.replace(/[\s\u2028\u2029]+/g, (blank) => (/^ +$/.test(blank) ? blank : ' ')))
}
