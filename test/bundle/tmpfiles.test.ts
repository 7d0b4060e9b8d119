import assert from 'node:assert/strict'
import { test } from 'node:test'
import { directoryLine, sourceLines, tmpfilesPaths } from '../../src/bundle/tmpfiles.ts'

const owner = { uid: 0, gid: 0 }

test('absent sources of bind mounts become directories, parents first', () => {
  const mounts = [
    { destination: '/proc', type: 'proc', source: '/proc-is-no-source' },
    { destination: '/a', type: 'bind', source: '/var/lib/etcd/data' },
    { destination: '/b', type: 'none', source: '/var/lib/etcd', options: ['rbind', 'rw'] },
    { destination: '/c', type: 'bind', source: '/etc/hosts' },
    { destination: '/d', type: 'bind', source: '/var/lib/etcd/' },
    { destination: '/e', type: 'bind', source: 'inside-the-bundle' },
    { destination: '/f', type: 'tmpfs', source: '/tmpfs' },
  ]
  const exists = (path: string) => path === '/etc/hosts'
  assert.deepEqual(sourceLines(mounts, { exists, owner }), [
    'd /var/lib/etcd :0700 :0 :0 - -',
    'd /var/lib/etcd/data :0700 :0 :0 - -',
  ])
})

for (const path of ['/srv/a b', '/srv/100%t', '/srv/"q" \\ \'s\'', '/srv/tab\there', '/srv/ü']) {
  test(`the line of ${JSON.stringify(path)} creates that path`, () => {
    assert.deepEqual(tmpfilesPaths(directoryLine({ path, mode: 0o755, uid: 1, gid: 2 })), [path])
  })
}

test('a path with a line break is refused', () => {
  assert.throws(() => directoryLine({ path: '/a\nd /b', mode: 0o755, ...owner }), { code: 'configuration' })
})

test('only lines that create are undone', () => {
  const text = [
    '# comment',
    'd /run/a 0755 root root - -',
    '  f+ "/etc/b c" - - - - content',
    'L /etc/l - - - - /target',
    'z /etc/passwd 0644',
    'R /var/cache/x',
    'w /sys/y - - - - 1',
    'x /tmp/z',
    'D! /run/d/',
    'v /srv/v',
    'garbage',
    '',
  ]
  assert.deepEqual(tmpfilesPaths(text.join('\n')), ['/run/a', '/etc/b c', '/etc/l', '/run/d', '/srv/v'])
})

test('specifiers are expanded, and lines with unknown ones left out', () => {
  const text = 'd %t/a\nd %S/b/%%c\nd %C\nd %L/x\nd /srv/%m\nd /srv/%H\n'
  assert.deepEqual(tmpfilesPaths(text, { m: 'abc' }), [
    '/run/a',
    '/var/lib/b/%c',
    '/var/cache',
    '/var/log/x',
    '/srv/abc',
  ])
})

test('quotes may stand in the middle, and escapes are read', () => {
  assert.deepEqual(tmpfilesPaths('d /srv/"a b"c\nd /srv/x\\x20y\nd \'/srv/i s\'\n"d" /srv/q'), [
    '/srv/a bc',
    '/srv/x y',
    '/srv/i s',
    '/srv/q',
  ])
})
