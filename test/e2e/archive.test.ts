import assert from 'node:assert/strict'
import { test } from 'node:test'
import manifest from '../../package.json' with { type: 'json' }
import { archivePath } from '../../packaging/archive.ts'
import { bootHost } from '../lab/host.ts'

test('unpacked beneath /usr/lib with a link in /usr/bin, the archive runs on a host that has no Node', async () => {
  await using host = await bootHost()
  assert.notEqual((await host.exec(['which', 'node'], { check: false })).status, 0)
  await host.installForerun(archivePath('x64'))
  const { stdout, stderr } = await host.exec(['forerun', '--version'])
  assert.deepEqual([stdout.trim(), stderr], [manifest.version, ''])
  // koffi's binary is loaded by whatever touches the store.
  await host.exec(['forerun', 'images', 'list'])
})
