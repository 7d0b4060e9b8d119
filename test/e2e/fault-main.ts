import { writeFileSync } from 'node:fs'
import { wire } from '../../src/cli/wire.ts'
import type { ForerunEvent } from '../../src/events.ts'
import { adoptContainers } from '../../src/operations/containers/adopt.ts'
import { deleteContainers } from '../../src/operations/containers/delete-containers.ts'
import { install } from '../../src/operations/containers/install.ts'
import { rollback } from '../../src/operations/containers/rollback.ts'
import { uninstall } from '../../src/operations/containers/uninstall.ts'
import { updateContainers } from '../../src/operations/containers/update.ts'
import { recoverHost } from '../../src/operations/recover-host.ts'

/**
 * An entry point that is bundled for the hosts of the fault suite alone: the real operations, with an event listener
 * that fails, or kills the process, at a chosen change.
 *
 *     fault-main.cjs fail|kill|cut|count INDEX PHASE install IMAGE | uninstall NAME | update NAME IMAGE | rollback NAME |
 *         adopt NAME | delete NAME NAME
 *     fault-main.cjs recover
 *
 * PHASE is `recorded` or `applied`, or one without an index: `on-trial` (nothing is started yet), `started`, `committed`. `cut` asks the lab
 * to pull the plug of an emulated machine there, and waits for that. `count` makes no fault. Standard output says how many
 * changes there were. `recover` is what the unit calls that such a process leaves for the next boot.
 */
async function main([action, index, phase, verb, subject = '', rebase = '']: string[]): Promise<void> {
  let changes = 0
  const emit = (event: ForerunEvent): void => {
    if (
      event.type === phase ||
      (phase === 'started' && event.type === 'step' && /has to stay up/.test(event.message))
    ) {
      die(action)
    }
    if (event.type !== 'change') return
    if (event.phase === 'recorded') changes += 1
    if (action === 'count' || event.phase !== phase || event.index !== Number(index)) return
    if (action !== 'fail') die(action)
    throw new Error(`fault at ${event.kind}`)
  }
  await using context = wire({ emit, signal: new AbortController().signal })
  if (action === 'recover') await recoverHost(context)
  else if (verb === 'install')
    await install({ image: subject, now: true, tlsVerify: false, systemPackage: 'auto' }, context)
  else if (verb === 'update') await updateContainers([subject], { rebase, tlsVerify: false }, context)
  else if (verb === 'rollback') await rollback(subject, {}, context)
  else if (verb === 'adopt') await adoptContainers([subject], context)
  else if (verb === 'delete') await deleteContainers([subject, rebase], { all: false, force: false }, context)
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
