import { hostCommands, type UnitOwner } from './host-commands.ts'
import type { Privilege } from './privilege.ts'
import { parseUnit, type UnitSetting } from './unit-file.ts'
import { firstWord } from './unit-word.ts'

/** What the unit of a container does on the host, and to other units of it. @param text of the image's unit, without drop-ins. */
export function unitPrivileges(text: string, owner: UnitOwner): Privilege[] {
  const unit = parseUnit(text)
  return [...hostCommands(unit, owner), ...settings(unit), ...dependencies(unit, owner)]
}

function settings(unit: readonly UnitSetting[]): Privilege[] {
  return unit.flatMap(({ section, key, value }): Privilege[] => {
    const found = (text: string, weight: Privilege['weight'] = 'power'): Privilege[] => [
      { kind: 'unit-setting', key: `${key} ${value}`, text: `${text} (${key}=)`, weight },
    ]
    if (/^(?:Success|Failure|StartLimit|JobTimeout)Action$/.test(key)) {
      return /^(?:none)?$/.test(value) ? [] : found(`has the host do ${value} by itself`)
    }
    if (section !== 'Service') return []
    const [, file] = /^(?:file|append|truncate):(.*)$/.exec(value) ?? []
    if (/^Standard(?:Output|Error)$/.test(key) && file !== undefined)
      return found(`writes to ${file} of the host as root`)
    if (key === 'Environment' && /(?:^|[\s"'])LD_[A-Z_]+=/.test(value)) {
      return found(`has the runtime load programs of others by ${value}`)
    }
    if (key !== 'EnvironmentFile' || value === '') return []
    return found(`takes variables from ${value.replace(/^-/, '')} of the host`, 'ordinary')
  })
}

function dependencies(unit: readonly UnitSetting[], { name }: UnitOwner): Privilege[] {
  const found = unit.flatMap(({ section, key, value }): Privilege[] => {
    const words = dependencyKeys[`${section}.${key}`]
    if (words === undefined) return []
    return unitNames(value)
      .filter((other) => other !== `${name}.service`)
      .map((other) => {
        const isPower = powerfulKeys.has(key) && !/^(?:shutdown|umount|final)\.target$/.test(other)
        const text = `${words} ${other} (${key}=)`
        return { kind: 'dependency', key: `${key} ${other}`, text, weight: isPower ? 'power' : 'ordinary' }
      })
  })
  return [...new Map(found.map((privilege) => [privilege.key, privilege])).values()]
}

/** systemd.unit(5): in words that the other unit's name follows. */
const dependencyKeys: Readonly<Record<string, string>> = {
  'Unit.Requires': 'starts, and needs,',
  'Unit.Requisite': 'needs',
  'Unit.BindsTo': 'starts, and stops with,',
  'Unit.Wants': 'starts',
  'Unit.Upholds': 'keeps running',
  'Unit.PartOf': 'stops and restarts with',
  'Unit.Conflicts': 'stops',
  'Unit.Before': 'starts before',
  'Unit.After': 'starts after',
  'Unit.OnFailure': 'starts when it fails',
  'Unit.OnSuccess': 'starts when it ends',
  'Unit.PropagatesReloadTo': 'reloads with itself',
  'Unit.PropagatesStopTo': 'stops with itself',
  'Unit.ReloadPropagatedFrom': 'is reloaded with',
  'Unit.StopPropagatedFrom': 'is stopped with',
  'Unit.JoinsNamespaceOf': 'shares temporary files with',
  'Service.Sockets': 'takes the sockets of',
  'Install.WantedBy': 'is started by',
  'Install.RequiredBy': 'is started and required by',
  'Install.UpheldBy': 'is kept running by',
  'Install.Also': 'enables with itself',
  'Install.Alias': 'takes the name',
}

/** By these it stops other units, or comes in their place or their way. */
const powerfulKeys = new Set(['Conflicts', 'PropagatesStopTo', 'PropagatesReloadTo', 'RequiredBy', 'Alias'])

function unitNames(value: string): string[] {
  const names: string[] = []
  for (let left = value.trim(); left !== ''; ) {
    const { word, rest } = firstWord(left)
    if (rest === left) return [...names, left]
    names.push(word)
    left = rest
  }
  return names
}
