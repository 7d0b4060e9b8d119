import { closeSync, openSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, fetch } from 'undici'
import { releaseAtEnd } from './at-end.ts'
import { type Certificates, makeCertificates } from './certificates.ts'
import { freePort } from './free-port.ts'
import type { LabImage } from './image.ts'
import { labFolder, removeLabFolder } from './leftovers.ts'
import { ensurePackages } from './packages.ts'
import { execute, type StartedProcess, started } from './process.ts'
import { startTokenServer, type TokenServer } from './token-server.ts'

/**
 * Debian's docker-registry, the reference registry, on a free port of 127.0.0.1, where the lab's hosts reach it.
 *
 *     await using registry = await startRegistry()
 *     const reference = await registry.push(await busyboxImage(), 'test/busy:1')
 *
 *     await using registry = await startRegistry({ tls: true })            // hosts need the content of registry.caFile
 *     await using registry = await startRegistry({ auth: 'token', users: { ann: 'secret' }, anonymousPull: true })
 *     await using registry = await startRegistry({ auth: 'htpasswd', users: { ann: 'secret' } })
 *     await registry.stop(); await registry.start()                        // gone, and back on the same port
 */
export interface LabRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly address: string
  readonly url: string
  /** With `tls`: the authority to trust. */
  readonly caFile: string | undefined
  /** With `auth: 'token'`: what it was asked. */
  readonly tokenServer: TokenServer | undefined
  /** Stores an image under `NAME:TAG`; returns its whole reference. */
  push(image: LabImage, name: string): Promise<string>
  /** Stores any bytes as a blob of a repository. */
  pushBlob(repository: string, digest: string, bytes: Buffer): Promise<void>
  /** Stores any bytes as a manifest, as far as the registry takes them. */
  pushManifest(repository: string, tag: string, manifest: { mediaType: string; bytes: Buffer }): Promise<void>
  stop(): Promise<void>
  start(): Promise<void>
  /** What it logged so far: a line each request. */
  log(): string
  /** Its files; damage them for a registry that lies. */
  readonly storage: string
}

export interface RegistryOptions {
  readonly tls?: boolean
  /** `htpasswd`: the registry's own Basic mode. */
  readonly auth?: 'token' | 'htpasswd'
  /** Name -> password. */
  readonly users?: Readonly<Record<string, string>>
  /** With `auth: 'token'`: identity token -> name. */
  readonly identityTokens?: Readonly<Record<string, string>>
  /** With `auth: 'token'`: whether pulling needs no name. Default false. */
  readonly anonymousPull?: boolean
  /** Of the tokens, in seconds. Default 300. */
  readonly tokenLifetime?: number
}

export async function startRegistry(options: RegistryOptions = {}): Promise<LabRegistry> {
  const packages = options.auth === 'htpasswd' ? ['apache2-utils'] : []
  await ensurePackages(['docker-registry', 'openssl', ...packages])
  const folder = await labFolder()
  const registry = new DebianRegistry(folder, options)
  try {
    await registry.prepare()
    await registry.start()
    return registry
  } catch (error) {
    await registry[Symbol.asyncDispose]()
    throw error
  }
}

/** As the registry and the tokens have it. */
const issuer = 'forerun-lab'
const service = 'forerun-lab-registry'

class DebianRegistry implements LabRegistry {
  readonly storage: string
  readonly #folder: string
  readonly #options: RegistryOptions
  readonly #disarm: () => void
  #port = 0
  #certificates: Certificates | undefined
  #process: StartedProcess | undefined
  #agent = new Agent()
  tokenServer: TokenServer | undefined

  constructor(folder: string, options: RegistryOptions) {
    this.#folder = folder
    this.#options = options
    this.storage = join(folder, 'storage')
    this.#disarm = releaseAtEnd(() => {
      this.#process?.signal('SIGKILL')
      removeLabFolder(folder)
    })
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`
  }

  get url(): string {
    return `${this.#options.tls === true ? 'https' : 'http'}://${this.address}`
  }

  get caFile(): string | undefined {
    return this.#options.tls === true ? this.#certificates?.caFile : undefined
  }

  async prepare(): Promise<void> {
    const { tls, auth, users = {}, identityTokens = {}, anonymousPull = false, tokenLifetime = 300 } = this.#options
    if (tls === true || auth === 'token') this.#certificates = await makeCertificates(this.#folder)
    if (this.caFile !== undefined) this.#agent = new Agent({ connect: { ca: readFileSync(this.caFile) } })
    if (auth === 'token' && this.#certificates !== undefined) {
      const certificates = this.#certificates
      const lifetime = tokenLifetime
      const who = { users, identityTokens, anonymousPull }
      this.tokenServer = await startTokenServer({ service, issuer, certificates, ...who, lifetime })
    }
    if (auth === 'htpasswd') await writeFile(this.#passwordFile, await passwordLines(users))
    this.#port = await freePort()
  }

  get #passwordFile(): string {
    return join(this.#folder, 'htpasswd')
  }

  async start(): Promise<void> {
    await this.stop()
    const configuration = join(this.#folder, 'config.yml')
    // YAML contains JSON.
    await writeFile(configuration, JSON.stringify(this.#configuration()))
    const log = openSync(join(this.#folder, 'log'), 'a')
    // It ends with this process even when that is killed.
    this.#process = started(['setpriv', '--pdeathsig', 'KILL', 'docker-registry', 'serve', configuration], {
      check: false,
      timeout: 2 ** 31 - 1,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    const end = Date.now() + 20_000
    while (!(await this.#answers())) {
      const ended = this.#process.child.exitCode !== null
      if (ended || Date.now() > end) throw new Error(`docker-registry does not answer\n${this.log()}`)
      await sleep(20)
    }
  }

  async stop(): Promise<void> {
    this.#process?.signal('SIGKILL')
    await this.#process?.finished
  }

  log(): string {
    return readFileSync(join(this.#folder, 'log'), 'utf8')
  }

  async push(image: LabImage, name: string): Promise<string> {
    const [, repository, tag = 'latest'] = /^([^:@]+)(?::([^@]+))?$/.exec(name) ?? []
    if (repository === undefined) throw new Error(`'${name}' is no NAME:TAG`)
    for (const [digest, bytes] of image.blobs) await this.pushBlob(repository, digest, bytes)
    for (const manifest of image.manifests) {
      const last = manifest === image.manifests.at(-1)
      await this.pushManifest(repository, last ? tag : manifest.digest, manifest)
    }
    return `${this.address}/${name}`
  }

  async pushBlob(repository: string, digest: string, bytes: Buffer): Promise<void> {
    const path = `/v2/${repository}/blobs`
    if ((await this.#request('HEAD', `${path}/${digest}`, { repository, accepted: [200, 404] })).status === 200) return
    const upload = await this.#request('POST', `${path}/uploads/`, { repository, accepted: [202] })
    const target = new URL(upload.headers.get('location') ?? '', this.url)
    target.searchParams.set('digest', digest)
    await this.#request('PUT', `${target.pathname}${target.search}`, {
      ...{ repository, accepted: [201], body: bytes, type: 'application/octet-stream' },
    })
  }

  async pushManifest(
    repository: string,
    tag: string,
    { mediaType, bytes }: { mediaType: string; bytes: Buffer },
  ): Promise<void> {
    const path = `/v2/${repository}/manifests/${tag}`
    await this.#request('PUT', path, { repository, accepted: [201], body: bytes, type: mediaType })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.#agent.close()
    await this.tokenServer?.[Symbol.asyncDispose]()
    removeLabFolder(this.#folder)
    this.#disarm()
  }

  #configuration() {
    const certificates = this.#certificates
    return {
      version: 0.1,
      log: { level: 'info' },
      storage: { filesystem: { rootdirectory: this.storage }, delete: { enabled: true } },
      http: {
        addr: this.address,
        secret: 'forerun-lab',
        ...(this.caFile !== undefined && {
          tls: { certificate: certificates?.certificateFile, key: certificates?.keyFile },
        }),
      },
      ...(this.tokenServer !== undefined && {
        auth: {
          token: { realm: this.tokenServer.realm, service, issuer, rootcertbundle: certificates?.caFile },
        },
      }),
      ...(this.#options.auth === 'htpasswd' && {
        auth: { htpasswd: { realm: service, path: this.#passwordFile } },
      }),
    }
  }

  #basic(): string {
    const [[user, password] = []] = Object.entries(this.#options.users ?? {})
    return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  }

  async #answers(): Promise<boolean> {
    try {
      const { status } = await fetch(`${this.url}/v2/`, { dispatcher: this.#agent })
      return status === 200 || status === 401
    } catch (error) {
      if (error instanceof TypeError) return false
      throw error
    }
  }

  async #request(
    method: string,
    path: string,
    options: { repository: string; accepted: number[]; body?: Buffer; type?: string },
  ) {
    const access = [{ type: 'repository', name: options.repository, actions: ['pull', 'push'] }]
    const response = await fetch(`${this.url}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: {
        ...(options.type && { 'content-type': options.type }),
        ...(this.tokenServer && { authorization: `Bearer ${this.tokenServer.token(access)}` }),
        ...(this.#options.auth === 'htpasswd' && { authorization: this.#basic() }),
      },
      ...(options.body && { body: options.body }),
    })
    const text = await response.text()
    if (!options.accepted.includes(response.status)) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return response
  }
}

/** With bcrypt, the only kind that the registry takes. */
async function passwordLines(users: Readonly<Record<string, string>>): Promise<string> {
  const lines = Object.entries(users).map(async ([user, password]) => {
    return (await execute(['htpasswd', '-nBi', user], { input: password })).stdout.trim()
  })
  return `${(await Promise.all(lines)).join('\n')}\n`
}
