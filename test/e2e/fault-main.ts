import { writeFileSync } from 'node:fs'
import { wire } from '../../src/cli/wire.ts'
import type { ForerunEvent } from '../../src/events.ts'
import { adoptContainers } from '../../src/operations/containers/adopt.ts'
import { install } from '../../src/operations/containers/install.ts'
import { rollback } from '../../src/operations/containers/rollback.ts'
import { uninstall } from '../../src/operations/containers/uninstall.ts'
import { updateContainers } from '../../src/operations/containers/update.ts'

/**
 * An entry point that is bundled for the hosts of the fault suite alone: the real operations, with an event listener
 * that fails, or kills the process, at a chosen change.
 *
 *     fault-main.cjs fail|kill|cut|count INDEX PHASE install IMAGE | uninstall NAME | update NAME IMAGE | rollback NAME | adopt NAME
 *
 * `cut` asks the lab to pull the plug of an emulated machine there, and waits for that.
 * PHASE is `recorded`, `applied`, or `committed`, which has no index. `count` makes no fault. Standard output says how
 * many changes there were.
 */
async function main([action, index, phase, verb, subject = '', rebase = '']: string[]): Promise<void> {
  let changes = 0
  const emit = (event: ForerunEvent): void => {
    if (event.type === 'committed' && phase === 'committed') die(action)
    if (event.type !== 'change') return
    if (event.phase === 'recorded') changes += 1
    if (action === 'count' || event.phase !== phase || event.index !== Number(index)) return
    if (action !== 'fail') die(action)
    throw new Error(`fault at ${event.kind}`)
  }
  await using context = wire({ emit, signal: new AbortController().signal })
  if (verb === 'install') await install({ image: subject, now: true, tlsVerify: false, systemPackage: 'auto' }, context)
  else if (verb === 'update') await updateContainers([subject], { rebase, tlsVerify: false }, context)
  else if (verb === 'rollback') await rollback(subject, {}, context)
  else if (verb === 'adopt') await adoptContainers([subject], context)
  else await uninstall(subject, context)
  process.stdout.write(`${changes}\n`)
}

function die(action: string | undefined): void {
  if (action === 'kill') process.kill(process.pid, 'SIGKILL')
  writeFileSync('/dev/ttyS1', 'cut\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error: Error) => {
    process.stderr.write(`${error.message}\n`)
    process.exit(1)
  },
)
