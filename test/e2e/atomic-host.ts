import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { busyboxBinary, serviceExports } from '../lab/busybox.ts'
import type { InstalledHost } from './installed-host.ts'

/** What a container of Project Atomic's tool is to be like. */
export interface AtomicContainerOptions {
  readonly image: string
  /** Slots that there are, the one in use last. Default: one. */
  readonly slots?: readonly (0 | 1)[]
  readonly values?: Readonly<Record<string, string | number>>
  /** Further keys of `info`. */
  readonly info?: object
  /** Put on the host, and into the checkouts below /exports/hostfs. */
  readonly hostFiles?: Readonly<Record<string, string>>
  readonly checkouts?: string
}

const objects = '/ostree/repo/objects'

/**
 * Leaves a container on a host as Project Atomic's tool did: checkouts of hard links to an ostree repository, `info`, configuration,
 * unit and tmpfiles.d lines; enabled, and not started. `/version` in its root is `SLOT`. As that tool's, its unit names the
 * folder of the deployment, and its container is in no control group of the unit.
 */
export async function atomicContainer(
  lab: InstalledHost,
  name: string,
  options: AtomicContainerOptions,
): Promise<void> {
  const { image, slots = [0], hostFiles = {}, checkouts = '/var/lib/containers/atomic' } = options
  const runc = await lab.shell('command -v runc')
  const write = (path: string, content: string): void => {
    mkdirSync(dirname(join(lab.host.root, path)), { recursive: true })
    writeFileSync(join(lab.host.root, path), content)
  }
  mkdirSync(join(lab.host.root, objects), { recursive: true })
  copyFileSync(await busyboxBinary(), join(lab.host.root, objects, 'busybox.file'))
  for (const slot of slots) {
    const folder = `${checkouts}/${name}.${slot}`
    const { DESTDIR, ...values } = { DESTDIR: folder, NAME: name, RUN_DIRECTORY: '/run', ...options.values }
    const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']
    const configuration = serviceExports(loop, { env: Object.entries(values).map(([key, value]) => `${key}=${value}`) })
    const text = JSON.stringify(configuration['config.json.template'], undefined, 4).replace('$NAME', name)
    const unit = `[Unit]\nDescription=${name} ${slot}\n\n[Service]\nExecStart=${runc} run '${name}'\nExecStop=${runc} kill '${name}'\nRestart=on-failure\nWorkingDirectory=${folder}\n\n[Install]\nWantedBy=multi-user.target\n`
    const tmpfiles = `d /run/${name} 0700 0 0 - -\n`
    write(`${folder}/config.json`, text)
    write(`${folder}/${name}.service`, unit)
    write(`${folder}/tmpfiles-${name}.conf`, tmpfiles)
    write(`${folder}/rootfs/version`, `${slot}\n`)
    for (const [path, content] of Object.entries(hostFiles)) {
      write(`${folder}/rootfs/exports/hostfs${path}`, content)
      write(path, content)
    }
    const info = {
      image,
      revision: '0a3a5ac7c5ab1f6b5a0b6d8a0e0f0c1f6d1ad1a7d5b0ef9e5a7f8f1a7a0f4a11',
      created: 1510000000 + slot,
      values: { DESTDIR, ...values },
      'has-container-service': true,
      'installed-files': Object.keys(hostFiles),
      'installed-files-checksum': Object.fromEntries(
        Object.entries(hostFiles).map(([path, content]) => [path, sha256(content)]),
      ),
      ...options.info,
    }
    write(`${folder}/info`, JSON.stringify(info, undefined, 4))
    write(`/etc/systemd/system/${name}.service`, unit)
    write(`/etc/tmpfiles.d/${name}.conf`, tmpfiles)
    const links = 'for each in sh cat sleep ps; do ln -s busybox bin/$each; done'
    await lab.shell(
      `cd ${folder}/rootfs && mkdir bin dev etc proc root run sys tmp && ln ${objects}/busybox.file bin/busybox && ${links}`,
    )
  }
  await lab.shell(
    `chmod 755 ${objects}/busybox.file; ln -sfn ${name}.${slots.at(-1)} ${checkouts}/${name}; systemctl daemon-reload; systemctl enable ${name}`,
  )
}

/** What must never change of the repository, its inodes too. */
export function ostreeRepository(lab: InstalledHost): Promise<string> {
  return lab.shell(`cd ${objects} && stat -c '%n %i %s %a %Y' * && sha256sum *`)
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
