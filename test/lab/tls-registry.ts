import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { releaseAtEnd } from './at-end.ts'
import { makeCertificates } from './certificates.ts'
import { freePort } from './free-port.ts'
import { labFolder, removeLabFolder } from './leftovers.ts'
import { execute, started } from './process.ts'

/**
 * A second server over the files of a registry, which speaks TLS and may demand a certificate of its clients.
 *
 *     await using registry = await startRegistry()
 *     await registry.push(image, 'team/app:1')
 *     await using tls = await startTlsRegistry(registry.storage, { clients: true })
 *     cpSync(tls.caFile, join(root, 'etc/containers/certs.d', tls.address, 'ca.crt'))
 *     cpSync(tls.client.certificateFile, …, 'client.cert'); cpSync(tls.client.keyFile, …, 'client.key')
 */
export interface TlsRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`; its certificate is for `localhost`, too. */
  readonly address: string
  readonly port: number
  readonly caFile: string
  /** A client's certificate that it accepts. */
  readonly client: { readonly certificateFile: string; readonly keyFile: string }
  /** What it logged so far. */
  log(): string
}

/** @param options.clients whether to demand a certificate of its own authority. Default false. */
export async function startTlsRegistry(
  storage: string,
  { clients = false }: { clients?: boolean } = {},
): Promise<TlsRegistry> {
  const folder = await labFolder()
  const { caFile, certificateFile, keyFile } = await makeCertificates(folder)
  const client = await makeClientCertificate(folder)
  const port = await freePort()
  const configuration = {
    version: 0.1,
    log: { level: 'info' },
    storage: { filesystem: { rootdirectory: storage } },
    http: {
      addr: `127.0.0.1:${port}`,
      secret: 'forerun-lab',
      tls: { certificate: certificateFile, key: keyFile, ...(clients && { clientcas: [caFile] }) },
    },
  }
  writeFileSync(join(folder, 'config.yml'), JSON.stringify(configuration))
  const log = openSync(join(folder, 'log'), 'a')
  const server = started(['setpriv', '--pdeathsig', 'KILL', 'docker-registry', 'serve', join(folder, 'config.yml')], {
    check: false,
    timeout: 2 ** 31 - 1,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  const disarm = releaseAtEnd(() => {
    server.signal('SIGKILL')
    removeLabFolder(folder)
  })
  for (let tries = 0; !(await listens(port)); tries += 1) {
    if (tries > 400) throw new Error(`docker-registry does not listen\n${readFileSync(join(folder, 'log'), 'utf8')}`)
    await sleep(50)
  }
  return {
    address: `127.0.0.1:${port}`,
    port,
    caFile,
    client,
    log: () => readFileSync(join(folder, 'log'), 'utf8'),
    async [Symbol.asyncDispose]() {
      server.signal('SIGKILL')
      await server.finished
      removeLabFolder(folder)
      disarm()
    },
  }
}

async function makeClientCertificate(folder: string): Promise<TlsRegistry['client']> {
  const path = (name: string) => join(folder, name)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', path('client.key')]
  await execute(['openssl', 'req', '-new', ...key, '-out', path('client.csr'), '-subj', '/CN=forerun lab client'])
  writeFileSync(path('client.ext'), 'extendedKeyUsage=clientAuth\n')
  await execute([
    ...['openssl', 'x509', '-req', '-in', path('client.csr'), '-CA', path('ca.crt'), '-CAkey', path('ca.key')],
    ...['-CAcreateserial', '-days', '2', '-extfile', path('client.ext'), '-out', path('client.crt')],
  ])
  return { certificateFile: path('client.crt'), keyFile: path('client.key') }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const settle = (does: boolean) => {
      socket.destroy()
      resolve(does)
    }
    socket.on('connect', () => settle(true)).on('error', () => settle(false))
  })
}
