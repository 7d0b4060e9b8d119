import { parseArgs } from 'node:util'
import { installedHost } from '../e2e/installed-host.ts'
import { runStress } from './stress/run.ts'

/**
 * `npm run stress`: twenty commands of forerun at once on one host, for ten minutes, by chance.
 *
 *     npm run stress -- --minutes 10 --seed 1 --parallel 20
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: `${Math.floor(Date.now() / 1000)}` },
    parallel: { type: 'string', default: '20' },
  },
})
const seed = Number(values.seed)
process.stderr.write(`seed ${seed}\n`)
// An overlay lies on no other overlay, which the root of the host is.
await using lab = await installedHost({ settle: 0.3, disks: { '/var/lib/forerun': 'tmpfs' } })
const { faults, ...figures } = await runStress(lab, {
  seed,
  duration: Number(values.minutes) * 60_000,
  parallel: Number(values.parallel),
  onFault: (fault) => process.stderr.write(`FAULT ${fault}\n`),
})
process.stdout.write(`${JSON.stringify({ seed, ...figures, faults: faults.length }, null, 2)}\n`)
process.exitCode = faults.length === 0 ? 0 : 1
