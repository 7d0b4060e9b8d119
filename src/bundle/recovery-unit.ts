import { recoveryUnitTemplate } from '../../templates/recovery-unit.template.ts'
import { parseTemplate, renderLineTemplate } from './template.ts'
import { unitArgument, unitPath, unitWord } from './unit-word.ts'

/**
 * The unit that ends at a boot what was begun before.
 *
 * @param options.journal the folder of the journals.
 * @param options.program how forerun is started: a program and its first words.
 */
export function renderRecoveryUnit({ journal, program }: { journal: string; program: readonly string[] }): string {
  const [path = '', ...words] = program
  const values = new Map([
    ['JOURNAL', unitPath(journal)],
    ['COMMAND', [unitWord(path), ...words.map(unitArgument)].join(' ')],
  ])
  return renderLineTemplate(parseTemplate(recoveryUnitTemplate, 'recovery-unit.template'), values)
}
