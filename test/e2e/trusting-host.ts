import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxImage } from '../lab/busybox.ts'
import { type ContainerTools, containerTools } from '../lab/container-tools.ts'
import type { ImageOptions, LabImage } from '../lab/image.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/**
 * A host that wants Sigstore signatures of the lab's registry, and the tools that make them. The tools have the same policy.json and registries.d,
 * so that they can be asked, too.
 *
 *     await using trusting = await trustingHost()
 *     trusting.demand({ keyData: trusting.dataOf('mine.pub'), ...matchRepository })
 *     await trusting.agreed(app.name, /is by another key/)         // forerun refuses, saying so, and skopeo does
 */
export interface TrustingHost extends AsyncDisposable {
  readonly lab: InstalledHost
  readonly tools: ContainerTools
  /** Stores an image of its own under `REPOSITORY:1`. */
  pushed(repository: string, options?: ImageOptions): Promise<PushedImage>
  /** A file of the tools, in base64. */
  dataOf(name: string): string
  /** Requires `sigstoreSigned` of all of the registry's images, and rejects all others. */
  demand(requirement: object): void
  lookInRegistry(attachments: boolean): void
  accepted(name: string): Promise<void>
  refused(name: string, message: RegExp): Promise<void>
  /** As `refused`, or without a message `accepted`; and skopeo says the same. */
  agreed(name: string, refusal?: RegExp): Promise<void>
}

export interface PushedImage {
  readonly image: LabImage
  /** By tag. */
  readonly name: string
  readonly repository: string
  /** By digest. */
  readonly pinned: string
}

export const matchRepository = { signedIdentity: { type: 'matchRepository' } }

export async function trustingHost(): Promise<TrustingHost> {
  await using made = new AsyncDisposableStack()
  const lab = made.use(await installedHost())
  const tools = made.use(await containerTools())
  const owned = made.move()

  async function refused(name: string, message: RegExp): Promise<void> {
    const { status, stderr } = await lab.forerun('pull', name)
    assert.equal(status, 1, stderr)
    assert.match(stderr, message)
  }

  // What the store has already is judged like anything else.
  const accepted = async (name: string) => void (await lab.must('pull', name))

  const trusting: TrustingHost = {
    lab,
    tools,
    async pushed(repository, options = {}) {
      const image = await busyboxImage({ ...options, layers: [{ which: repository }] })
      const name = await lab.push(`${repository}:1`, image)
      const full = name.replace(/:1$/, '')
      return { image, name, repository: full, pinned: `${full}@${image.digest}` }
    },
    dataOf: (name) => readFileSync(join(tools.folder, name)).toString('base64'),
    demand: (requirement) => {
      const docker = { [lab.registry.address]: [{ type: 'sigstoreSigned', ...requirement }] }
      const text = JSON.stringify({ default: [{ type: 'reject' }], transports: { docker } })
      writeFileSync(join(lab.host.root, 'etc/containers/policy.json'), text)
      writeFileSync(join(tools.folder, 'policy.json'), text)
    },
    lookInRegistry: (attachments) => {
      const text = `docker:\n  ${lab.registry.address}:\n    use-sigstore-attachments: ${attachments}\n`
      for (const folder of [join(lab.host.root, 'etc/containers/registries.d'), join(tools.folder, 'registries.d')]) {
        mkdirSync(folder, { recursive: true })
        writeFileSync(join(folder, 'lab.yaml'), text)
      }
    },
    accepted,
    refused,
    async agreed(name, refusal) {
      if (refusal === undefined) await accepted(name)
      else await refused(name, refusal)
      rmSync(join(tools.folder, 'copied'), { recursive: true, force: true })
      const words = ['--policy', 'policy.json', '--registries.d', 'registries.d', 'copy', '--src-tls-verify=false']
      const result = await tools.run(['skopeo', ...words, `docker://${name}`, 'dir:copied'], { check: false })
      assert.equal(result.status === 0, refusal === undefined, `skopeo: ${result.stderr}`)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
  trusting.lookInRegistry(true)
  return trusting
}
