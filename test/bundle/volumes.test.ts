import assert from 'node:assert/strict'
import { test } from 'node:test'
import { imageVolumes, volumeFolderName } from '../../src/bundle/volumes.ts'
import { treeFiles } from '../../src/operations/lookup/tree-files.ts'
import { mergeLayers } from '../../src/tree/merge.ts'
import { directory, file, symlink } from '../tree/layers.ts'

const tree = mergeLayers([
  [
    directory('data', 0o700),
    directory('run', 0o711),
    symlink('var/run', '../run'),
    symlink('dangling', '/mnt/absent'),
    symlink('loop', 'loop'),
    file('etc/app.conf'),
  ],
])
const files = treeFiles(tree, () => '')

function volumes(...paths: string[]): string[][] {
  return imageVolumes(paths, files, '/var/lib/web').volumes.map(({ destination, source, mode }) => [
    destination,
    source,
    mode.toString(8),
  ])
}

test('volumes lie flat, a folder each, so that none can be reached through another', () => {
  assert.deepEqual(volumes('/data/a/cron.d', '/data/', '/data/.', '/../../etc'), [
    ['/data', '/var/lib/web/data', '700'],
    ['/data/a/cron.d', '/var/lib/web/data+a+cron.d', '755'],
    ['/etc', '/var/lib/web/etc', '755'],
  ])
})

test('a volume on a symbolic link of the image is mounted where that leads, once', () => {
  assert.deepEqual(volumes('/var/run', '/run', '/var/run/app'), [
    ['/run', '/var/lib/web/run', '711'],
    ['/run/app', '/var/lib/web/var+run+app', '755'],
  ])
  assert.deepEqual(volumes('/dangling/sub'), [['/mnt/absent/sub', '/var/lib/web/dangling+sub', '755']])
})

for (const path of ['/etc/app.conf', '/etc/app.conf/below', '/loop/x', `/${'long/'.repeat(60)}`]) {
  test(`a volume that no folder can be mounted on is refused: ${path.slice(0, 30)}`, () => {
    assert.throws(() => volumes(path), { code: 'configuration', message: /^The image's volume '\// })
  })
}

test('a volume over the file systems of the kernel, or over the root, is left out and told of', () => {
  const { volumes: made, notices } = imageVolumes(['/sys/fs/cgroup', '/', '/proc', '/data'], files, '/v')
  assert.deepEqual(
    made.map(({ destination }) => destination),
    ['/data'],
  )
  assert.equal(notices.length, 3)
  assert.match(notices[2] ?? '', /'\/sys\/fs\/cgroup' of the image is left out: \/sys belongs to the container itself/)
})

test('the name of a folder tells its path again, and is never hidden', () => {
  const paths = ['/var/lib/my-db', '/.hidden', '/a+b', '/a/b', '/a%2bb', '/a b/"c"\\', '/line\nbreak', '/ü/+', '/...']
  const names = paths.map(volumeFolderName)
  assert.deepEqual(names.slice(0, 4), ['var+lib+my-db', '%2ehidden', 'a%2bb', 'a+b'])
  for (const name of names) assert.doesNotMatch(name, /^\.|[/\s"\\]/)
  const read = (name: string): string => `/${decodeURIComponent(name.replaceAll('+', '/'))}`
  assert.deepEqual(names.map(read), paths)
})
