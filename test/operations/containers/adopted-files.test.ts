import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { adoptedHostFiles } from '../../../src/operations/containers/adopted-files.ts'
import { type AtomicDeployment, readAtomicInfo } from '../../../src/store/atomic-containers.ts'
import { scratch } from '../../store/scratch.ts'
import { sha256 } from './host-in-memory.ts'

/** A deployment whose image has these files below /exports/hostfs, beneath a folder that stands for the host. */
function deployment(folder: string, info: object, image: Readonly<Record<string, string>> = {}): AtomicDeployment {
  const slot = join(folder, 'old.0')
  write(join(slot, 'info'), JSON.stringify({ image: 'old', values: { PORT: 80 }, ...info }))
  for (const [path, content] of Object.entries(image)) write(join(slot, 'rootfs/exports/hostfs', path), content)
  return { name: 'old', folder: slot, info: readAtomicInfo(slot) }
}

function write(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

/** A line for each file: its name, the content that it is told to have, and where that comes from. */
function told(found: AtomicDeployment): { files: string[]; unknown: readonly string[] } {
  const { files, unknown } = adoptedHostFiles(found, { folder: '/new/old.0' })
  const lines = files.map((file) => {
    if (file.kind !== 'file') return `${file.path} ${file.kind === 'symlink' ? file.target : file.kind}`
    const from = 'bytes' in file.content ? 'rendered' : `${file.content.copyOf}`
    return `${file.path} ${file.digest} ${from}`
  })
  return { files: lines, unknown }
}

test('by its checksum a host file is what was installed; one that was changed or is gone is told by the image', () => {
  using host = scratch()
  const at = (name: string): string => join(host.path, 'etc', name)
  const checksums = Object.fromEntries(['same', 'changed', 'gone', 'lost'].map((name) => [at(name), sha256('one')]))
  for (const [name, content] of Object.entries({ same: 'one', changed: 'mine', lost: 'mine' })) write(at(name), content)
  const original = { [at('changed')]: 'one', [at('gone')]: 'one', [at('lost')]: 'another version' }
  const found = deployment(host.path, { 'installed-files-checksum': checksums }, original)
  assert.deepEqual(told(found), {
    files: [
      `${at('same')} ${sha256('one')} ${at('same')}`,
      `${at('changed')} ${sha256('one')} /new/old.0/rootfs/exports/hostfs${at('changed')}`,
      `${at('gone')} ${sha256('one')} /new/old.0/rootfs/exports/hostfs${at('gone')}`,
    ],
    unknown: [at('lost')],
  })
})

test('templates and renamed files are found in the image, and without checksums the image alone tells', () => {
  using host = scratch()
  const at = (name: string): string => join(host.path, name)
  write(at('conf'), 'port 80\n')
  write(at('bin/old-tool'), 'mine')
  const info = {
    'installed-files': [at('conf'), at('bin/old-tool'), at('nothing')],
    'installed-files-template': [at('conf')],
    'rename-installed-files': { [at('tools')]: at('bin') },
  }
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the image's template
  const found = deployment(host.path, info, { [at('conf')]: 'port ${PORT}\n', [at('tools/old-tool')]: 'tool' })
  assert.deepEqual(told(found), {
    files: [
      `${at('conf')} ${sha256('port 80\n')} rendered`,
      `${at('bin/old-tool')} ${sha256('tool')} /new/old.0/rootfs/exports/hostfs${at('tools/old-tool')}`,
    ],
    unknown: [at('nothing')],
  })
})

test('a link in the image leads to no file of the host, and a package keeps its files', () => {
  using host = scratch()
  write(join(host.path, 'secret'), 'secret')
  const path = join(host.path, 'etc/link/secret')
  const found = deployment(host.path, { 'installed-files': [path] })
  const above = join(found.folder, 'rootfs/exports/hostfs', host.path, 'etc')
  mkdirSync(above, { recursive: true })
  symlinkSync(host.path, join(above, 'link'))
  assert.deepEqual(told(found), { files: [], unknown: [path] })
  const packaged = { ...found, info: { ...found.info, 'rpm-installed': 'atomic-container-old-1.rpm' } }
  assert.deepEqual(told(packaged), { files: [], unknown: [] })
})
