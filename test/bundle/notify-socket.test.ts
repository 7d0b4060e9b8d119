import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withNotifySocket } from '../../src/bundle/notify-socket.ts'
import { parseRuntimeConfiguration } from '../../src/bundle/runtime-configuration.ts'

const bind = (source: string, destination: string) => ({ source, destination, type: 'bind', options: ['rbind'] })
const tmpfs = { source: 'tmpfs', destination: '/run', type: 'tmpfs' }

for (const [what, mounts, path, isMounted] of [
  ['has nothing at /run', [], '/run/systemd/notify', true],
  ['has a /run of its own', [tmpfs], '/run/systemd/notify', true],
  ['sees /run of the host', [tmpfs, bind('/run', '/run')], '/run/systemd/notify', false],
  ['sees /run of the host by its other name', [bind('/var/run/', '/run')], '/run/systemd/notify', false],
  ['sees /run/systemd of the host', [tmpfs, bind('/run/systemd', '/run/systemd')], '/run/systemd/notify', false],
  ['sees the socket', [tmpfs, bind('/run/systemd/notify', '/run/systemd/notify')], '/run/systemd/notify', false],
  ['has a folder of the host at /run', [bind('/run/other', '/run')], '/.notify', true],
  ['covers /run of the host', [bind('/run', '/run'), tmpfs], '/run/systemd/notify', true],
] as const) {
  test(`a container that ${what} finds the socket at ${path}`, () => {
    const env = ['A=1', 'NOTIFY_SOCKET=/elsewhere']
    const process = { cwd: '/', args: ['x'], env }
    const before = parseRuntimeConfiguration({ process, root: { path: 'rootfs' }, mounts }, 'config.json')
    const after = withNotifySocket(before)
    assert.deepEqual(after.process.env, ['A=1', `NOTIFY_SOCKET=${path}`])
    const added = after.mounts?.slice(mounts.length) ?? []
    assert.deepEqual(
      added.map(({ source, destination }) => [source, destination]),
      isMounted ? [['/run/systemd/notify', path]] : [],
    )
  })
}
