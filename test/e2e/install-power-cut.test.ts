import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { buildBundle } from '../../packaging/build.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/** The host dies, not forerun alone: at its next boot systemd finds what was half done, and has it undone once the services are up. */
let lab: InstalledHost
let image: string

before(async () => {
  lab = await installedHost()
  await buildBundle(join(lab.host.root, 'opt'), { program: 'test/e2e/fault-main.ts' })
  image = await lab.push(
    'cut',
    busyboxImage({
      exports: {
        ...serviceExports(['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']),
        'tmpfiles.template': 'd $STATE_DIRECTORY/$NAME - - - - -\n',
      },
    }),
  )
  await lab.must('pull', image)
})

after(() => lab[Symbol.asyncDispose]())

test('an installation that a power cut ended is undone by the boot, though systemd has made use of it there', async () => {
  const untouched = lab.files()
  const changes = Number((await faulty('count', -1, 'install')).stdout)
  await lab.must('uninstall', 'cut')
  assert.ok(changes > 10)
  // From the tmpfiles lines on; before that systemd sees nothing of it.
  for (let index = 5; index < changes; index++) {
    await cut(index, 'install')
    assert.deepEqual(changesSince(untouched, lab), [], `change ${index}`)
    assert.equal(await lab.property('cut', 'LoadState'), 'not-found', `change ${index}`)
    assert.equal(await lab.shell('pidof sleep; ls /run/runc 2>/dev/null || true'), '', `change ${index}`)
  }
})

test('an uninstallation that a power cut ended is undone by the boot, and the service runs again', async () => {
  await lab.must('install', '--now', image)
  const installed = lab.files()
  // From the removal of the link, without which no boot starts it, up to the stop; the removal of files is like that without a boot.
  for (let index = 2; index < 5; index++) {
    await cut(index, 'uninstall')
    assert.deepEqual(changesSince(installed, lab), [], `change ${index}`)
    assert.equal(await lab.property('cut', 'ActiveState'), 'active', `change ${index}`)
  }
})

/** Ends forerun, and then the host, once a change has been made; boots it again, and has the boot undo it. */
async function cut(index: number, verb: 'install' | 'uninstall'): Promise<void> {
  assert.equal((await faulty('kill', index, verb)).status, 137)
  await lab.host.kill()
  await lab.host.boot()
  const told = () => lab.shell('journalctl -b --no-pager -o cat -u forerun-recover')
  await until('the boot has undone it', async () => (await told()).includes('Deactivated successfully'), {
    seconds: 30,
  })
}

function faulty(action: 'kill' | 'count', index: number, verb: 'install' | 'uninstall') {
  const words = [action, String(index), 'applied', verb, verb === 'install' ? image : 'cut']
  return lab.host.exec(['/usr/lib/forerun/node', '/opt/forerun.cjs', ...words], { check: false })
}
