import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { nodeStart } from '../../packaging/archive.ts'
import { buildBundle } from '../../packaging/build.ts'
import { memoryFolder } from '../lab/leftovers.ts'
import { type FigureName, type Figures, figureTable, goals, isFigureName } from './figures.ts'
import {
  type Installs,
  measureCheckouts,
  measureDisk,
  measureInstalls,
  measureLargeFile,
  measureUpdate,
} from './installs.ts'
import { measureList, measureVersion } from './programs.ts'

/**
 * Speed, memory and disk against the peers, all in one run:
 *
 *     npm run bench -- [--rounds N] [--only FIGURE,…] [--json]
 */
const parts: readonly { figures: readonly FigureName[]; measure: (bench: Installs) => Promise<Figures> }[] = [
  {
    figures: ['install_gzip_vs_best_peer', 'install_zstd_vs_best_peer', 'install_gzip_vs_raw_tar', 'peak_mb'],
    measure: measureInstalls,
  },
  { figures: ['peak_mb'], measure: measureLargeFile },
  { figures: ['checkout_vs_cp_al'], measure: measureCheckouts },
  { figures: ['update_bytes_vs_changed_layer', 'update_seconds_vs_install'], measure: measureUpdate },
  { figures: ['disk_ten_versions_vs_unique'], measure: measureDisk },
  { figures: ['list_vs_podman_ps'], measure: measureList },
  { figures: ['version_vs_empty_node'], measure: measureVersion },
]

const { values } = parseArgs({
  options: { rounds: { type: 'string' }, only: { type: 'string' }, json: { type: 'boolean' } },
})
const rounds = Number(values.rounds ?? 3)
const wanted = values.only?.split(',') ?? Object.keys(goals)
const unknown = wanted.find((word) => !isFigureName(word))
if (unknown !== undefined || !Number.isInteger(rounds) || rounds < 1) {
  process.stderr.write(
    `bench: ${unknown === undefined ? '--rounds takes a number' : `there is no figure '${unknown}'`}\n`,
  )
  process.stderr.write(`The figures: ${Object.keys(goals).join(', ')}\n`)
  process.exit(2)
}

using folder = memoryFolder('bench')
const figures: Figures = {}
await buildBundle(folder.path, { program: 'test/bench/program.ts' })
const report = (line: string): void => void process.stderr.write(`bench: ${line}\n`)
const bench: Installs = {
  program: ['env', ...nodeStart.environment, process.execPath, ...nodeStart.options, join(folder.path, 'forerun.cjs')],
  rounds,
  report,
}
for (const part of parts.filter((each) => each.figures.some((name) => wanted.includes(name)))) {
  for (const [name, value] of Object.entries(await part.measure(bench)) as [FigureName, number][]) {
    if (wanted.includes(name)) figures[name] = Math.max(figures[name] ?? 0, value)
  }
}
process.stdout.write(`${values.json === true ? JSON.stringify(figures, undefined, 2) : figureTable(figures)}\n`)
