import * as v from 'valibot'
import { ForerunError } from '../../errors.ts'
import { absent } from '../../image/descriptor.ts'
import { parseJson } from '../../image/json.ts'
import { shownWords } from '../../image/reference.ts'
import { savedImageSource } from '../docker-archive/docker-archive-source.ts'
import { forwardArchive } from '../forward-archive.ts'
import type { ImageSource } from '../source.ts'
import { completedName, localName } from '../stored-name.ts'
import { openEngine } from './engine.ts'

/**
 * An image of a Docker daemon, or of Podman's service, by its name or id. The daemon sends it as `docker save` would, once to learn
 * what it is and once for its layers; nothing is put on the disk. `address` is `DOCKER_HOST` when that is set.
 *
 * Errors are ForerunErrors: `image-not-found`, `archive`, `manifest`, `digest`, `limit`, `interrupted`.
 *
 * @throws ForerunError `reference` for what cannot be an image's name or id; `archive` for an address that cannot be used.
 */
export function dockerDaemonSource(
  { image }: { image: string },
  { address = process.env.DOCKER_HOST || 'unix:///var/run/docker.sock' }: { address?: string } = {},
): ImageSource {
  checkName(image)
  const engine = openEngine(address)
  const endpoint = `/images/${image}`
  const files = forwardArchive(`docker-daemon:${image}`, {
    open: (context) => engine.stream(`${endpoint}/get`, context),
    close: async () => engine[Symbol.asyncDispose](),
  })
  let inspected: Inspected | undefined
  const saved = savedImageSource(files, {
    image: undefined,
    nameOf: ({ names }) => storedName(image, inspected, names),
  })
  return {
    ...saved,
    async manifest(platform, context) {
      const document = { document: `the daemon's answer about '${image}'` }
      inspected = parseJson(await engine.document(`${endpoint}/json`, context), inspectedSchema, document)
      return saved.manifest(platform, context)
    },
  }
}

/** It becomes a part of an address. */
function checkName(image: string): void {
  if (/^[\w.:@-]+(?:\/[\w.:@-]+)*$/.test(image) && !image.split('/').includes('..')) return
  throw new ForerunError('reference', `'${shownWords(image)}' is neither the name nor the id of an image`, {
    hint: 'Write it as docker images shows it: docker-daemon:etcd:3.5.',
  })
}

const inspectedSchema = v.object({ Id: v.string(), RepoTags: absent(v.array(v.string())) })

type Inspected = v.InferOutput<typeof inspectedSchema>

/** What was asked for; for an id the image's first name. */
function storedName(image: string, inspected: Inspected | undefined, names: readonly string[]): string {
  const name = completedName(image)
  const tags = [...(inspected?.RepoTags ?? []).map(completedName), ...names].filter((tag) => tag !== undefined)
  const hex = image.replace(/^sha256:/, '')
  const isId = /^[0-9a-f]+$/.test(hex) && inspected?.Id.replace(/^sha256:/, '').startsWith(hex) === true
  if (name !== undefined && (!isId || tags.includes(name))) return name
  return tags[0] ?? localName(hex.slice(0, 12))
}
