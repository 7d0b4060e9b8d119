import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rewriter } from '../../../src/operations/containers/adoption-plan.ts'
import type { AtomicDeployment } from '../../../src/store/atomic-containers.ts'

const folder = '/var/lib/containers/atomic/etcd.0'

function rewrite(text: string, values: Readonly<Record<string, string>> = {}): string {
  const info = { values } as Pick<AtomicDeployment['info'], 'values'> as AtomicDeployment['info']
  return rewriter({ name: 'etcd', folder, info }, '/new/$&/etcd.0')(text)
}

test('the old folder becomes the new one, and what only begins or ends like it stays', () => {
  assert.equal(rewrite(`WorkingDirectory=${folder}\n`), 'WorkingDirectory=/new/$&/etcd.0\n')
  assert.equal(rewrite(`"${folder}/rootfs", ${folder}`), '"/new/$&/etcd.0/rootfs", /new/$&/etcd.0')
  for (const other of [
    `${folder}1`,
    `${folder}-x`,
    `${folder}.1`,
    `/sysroot${folder}`,
    '/var/lib/containers/atomic/etcdX0',
  ]) {
    assert.equal(rewrite(other), other)
  }
})

test('the folder as it is called from outside of /var is the same', () => {
  const outside = '/ostree/deploy/centos/var/lib/containers/atomic/etcd.0'
  assert.equal(rewrite(`a ${outside} b`, { DESTDIR: outside }), 'a /new/$&/etcd.0 b')
  assert.equal(rewrite('a /srv b', { DESTDIR: '/srv' }), 'a /srv b')
})
