import { busyboxImage, type Exports, serviceExports } from '../busybox.ts'
import type { LabImage } from '../image.ts'

/** The containers of a stress run, and the kind of image that each is made of. */
export const kinds = {
  c0: 'plain',
  c1: 'plain',
  c2: 'plain',
  c3: 'kept',
  c4: 'kept',
  c5: 'scratch',
  c6: 'scratch',
  c7: 'checked',
} as const

export type Container = keyof typeof kinds
export type Kind = (typeof kinds)[Container]

export const containers = Object.keys(kinds) as Container[]

/** Of each kind there are these; a service of the last one ends at once. */
export const versions = ['v1', 'v2', 'v3'] as const
export type Version = (typeof versions)[number]
export const broken: Version = 'v3'

/** `plain`: its files lie on the host, too. `kept`, `scratch`: an overlay, which updates take along or not. `checked`: has a health check. */
export async function stressImage(kind: Kind, version: Version): Promise<LabImage> {
  const script = version === broken ? 'exit 3' : 'trap "exit 0" TERM; sleep infinity & wait'
  const readonly = kind === 'plain' || kind === 'checked'
  const manifest: Record<string, unknown> = { version: '1.0', defaultValues: { WORD: noWord } }
  if (kind === 'kept') manifest.keepRootChanges = true
  if (kind === 'checked') {
    manifest.healthCheck = { command: 'true', interval: '1s', timeout: '5s', retries: 3, startPeriod: '1s' }
  }
  const exports: Exports = {
    ...serviceExports(['sh', '-c', script, `${kind}:${version}`, '$WORD', '$DESTDIR'], { readonly }),
    'manifest.json': manifest,
    ...(kind === 'plain' && {
      hostfs: { '/etc/stress/common': 'common\n', [`/etc/stress/${version}`]: `${version}\n` },
    }),
  }
  return await busyboxImage({ layers: [{ 'srv/version': `${kind} ${version}\n`, 'srv/common': 'x' }], exports })
}

/** What an image of a stress run is given as `WORD` when nobody does. */
export const noWord = 'none'

/** What a container's command in `containers list` tells of it: image, value, and folder belong together. */
export function readCommand(command: string): { image: string; word: string; folder: string } | undefined {
  const [, image, word, folder] = / (\w+:v\d) (\w+) (\S+)$/.exec(command) ?? []
  return image === undefined || word === undefined || folder === undefined ? undefined : { image, word, folder }
}

/** `plain:v1` of `127.0.0.1:5000/stress/plain:v1`. */
export function shortName(reference: string): string {
  return reference.slice(reference.lastIndexOf('/') + 1)
}
