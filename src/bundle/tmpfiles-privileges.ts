import { tmpfilesPower } from './host-power.ts'
import type { Privilege } from './privilege.ts'
import { readWord } from './unit-word.ts'

/** What lines of tmpfiles.d(5) do as root at every boot. Folders that they make where nothing looks are left out. */
export function tmpfilesPrivileges(text: string, options: { unit: string }): Privilege[] {
  const privileges = text.split('\n').flatMap((line): Privilege[] => {
    const [, type = '', word] = lineStart.exec(line) ?? []
    if (word === undefined || 'xX'.includes(type)) return []
    const path = readWord(word)
    const power = tmpfilesPower(line, options).flatMap((found) => found.power)
    if (power.length === 0 && 'dDevqQ'.includes(type) && !'D'.includes(type)) return []
    const why = power.length === 0 ? '' : `: ${power.join('; ')}`
    const isRemoving = 'rRD'.includes(type)
    const rest = line.trim().replace(/\s+/g, ' ')
    return [
      {
        kind: 'tmpfiles',
        key: rest,
        text: `${isRemoving ? 'removes' : 'makes or changes'} ${path} at every boot (tmpfiles.d: ${rest})${why}`,
        weight: power.length > 0 || 'rR'.includes(type) ? 'power' : 'ordinary',
      },
    ]
  })
  return [...new Map(privileges.map((privilege) => [privilege.key, privilege])).values()]
}

const lineStart = /^\s*"?([a-zA-Z])[-+!=~^$?]*"?\s+((?:\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'\\])+)/
