import { randomBytes } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { assertNothingUnfinished, assertRefused, impatientHost } from './bad-input.ts'
import type { InstalledHost } from './installed-host.ts'

/** Small file systems that are full at one phase or another. */
let lab: InstalledHost
let image: string

before(async () => {
  lab = await impatientHost()
  // No kernel of a guest's own: loop devices are the machine's, and their nodes have to be made.
  await lab.shell('mknod /dev/loop-control c 10 237; for n in $(seq 0 63); do mknod /dev/loop$n b 7 $n; done')
  appendFileSync(join(lab.host.root, 'etc/forerun/forerun.conf'), '[containers]\ncheckout = copy\n')
  image = await lab.push(
    'disk/app',
    busyboxImage({
      layers: [{ 'data/random': randomBytes(4 * 1024 * 1024) }],
      exports: {
        ...serviceExports(['sleep', 'infinity']),
        'tmpfiles.template': 'd /var/lib/$NAME 0755 0 0 - -\n',
        hostfs: { '/usr/local/bin/tool': '#!/bin/sh\n' },
      },
    }),
  )
})
after(() => lab[Symbol.asyncDispose]())

/** Mounts a file system of so many megabytes at forerun's folder while the test runs. */
async function withStoreOf(megabytes: number, run: () => Promise<void>): Promise<void> {
  await lab.shell(`truncate -s ${megabytes}M /run/disk && mkfs.ext4 -q -m 0 /run/disk && mkdir -p /var/lib/forerun`)
  await lab.shell('mount -o loop /run/disk /var/lib/forerun')
  try {
    await run()
  } finally {
    await lab.shell('umount /var/lib/forerun && rm /run/disk')
  }
}

test('a disk that is full when pulling', () =>
  withStoreOf(5, async () => {
    for (const words of [
      ['install', image],
      ['pull', image],
    ]) {
      await assertRefused(lab, words, { code: 'disk-full', message: /no space is left .*\/var\/lib\/forerun/ })
    }
  }))

test('a disk that is full when making the checkout', () =>
  withStoreOf(12, async () => {
    await lab.must('pull', image)
    await assertRefused(lab, ['install', image], { code: 'disk-full', message: /no space.*\/var\/lib\/forerun/ })
  }))

test('a disk that has room for a little more and a little more, until it is enough', () =>
  withStoreOf(40, async () => {
    await lab.must('install', image)
    const [used = 0] = (await lab.shell('du -sk /var/lib/forerun/containers')).split('\t').map(Number)
    await lab.must('uninstall', 'app')
    let isInstalled = false
    for (const room of [
      0,
      4,
      used - 200,
      used - 100,
      used - 40,
      used - 20,
      used - 12,
      used - 8,
      used - 4,
      used,
      used + 4,
    ]) {
      await fillBut(room)
      const trial = await lab.forerun('install', image)
      isInstalled = trial.status === 0
      if (isInstalled) await lab.must('uninstall', 'app')
      else await assertRefused(lab, ['install', image], { code: 'disk-full', message: /no space/ })
      assertNothingUnfinished(lab)
      await lab.shell('rm -f /var/lib/forerun/fill')
    }
    if (!isInstalled) throw new Error('there was never enough room')
  }))

async function fillBut(kilobytes: number): Promise<void> {
  const script = `free=$(df -k --output=avail /var/lib/forerun | tail -1)
    dd if=/dev/zero of=/var/lib/forerun/fill bs=1k count=$((free - ${kilobytes})) 2>/dev/null || true`
  await lab.shell(script)
}

test('folders of the host that have no room for one more file', async () => {
  await lab.must('pull', image)
  const folders = ['/etc/tmpfiles.d', '/usr/local/bin', '/etc/systemd/system']
  for (const folder of folders) {
    for (const room of [0, 1, 2, 3]) {
      // Inodes are what a small file system in memory counts exactly.
      await lab.shell(`cp -a ${folder} /root/copy && mount -t tmpfs -o mode=755,nr_inodes=$(($(find /root/copy | wc -l) + 1 + ${room})) small ${folder}
        cp -a /root/copy/. ${folder}/ && rm -r /root/copy`)
      try {
        const { status } = await lab.forerun('install', image)
        if (status === 0) await lab.must('uninstall', 'app')
        else await assertRefused(lab, ['install', image], { code: 'disk-full', message: /[Nn]o space/ })
        assertNothingUnfinished(lab)
      } finally {
        await lab.shell(`umount ${folder}`)
      }
    }
  }
})
