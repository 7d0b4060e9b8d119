import { join } from 'node:path'
import { applyChanges } from '../../src/transaction/transaction.ts'
import { allKinds, fakeHost } from './fake-host.ts'

/** A process that dies of SIGKILL at one point of a transaction: FOLDER INDEX PHASE. */
const [folder = '', index, phase] = process.argv.slice(2)
const host = join(folder, 'host')
const units = join(host, 'units')
const fake = fakeHost(units, (event) => {
  const isChange = event.type === 'change' && event.phase === phase && event.index === Number(index)
  if (isChange || event.type === phase) process.kill(process.pid, 'SIGKILL')
})
await applyChanges({ title: 'install new', containers: ['new'] }, allKinds(host, units), {
  journal: join(folder, 'journal'),
  host: fake,
  signal: new AbortController().signal,
})
