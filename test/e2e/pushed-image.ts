import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxImage } from '../lab/busybox.ts'
import type { ContainerTools } from '../lab/container-tools.ts'
import type { LabImage } from '../lab/image.ts'

/** A small image of its own: its bytes are random. */
export async function imageOf(
  words: string,
  { size = 100_000, ...options }: Parameters<typeof busyboxImage>[0] & { size?: number } = {},
): Promise<LabImage> {
  return busyboxImage({ layers: [{ words, 'usr/data': randomBytes(size) }], ...options })
}

/** skopeo sees the digest, podman takes the image, and a copy by skopeo has the bytes. */
export async function assertSame(tools: ContainerTools, name: string, image: LabImage): Promise<void> {
  assert.equal(await digestAt(tools, name), image.digest)
  await tools.run(['podman', 'pull', '-q', '--tls-verify=false', name])
  const { stdout } = await tools.run(['podman', 'image', 'inspect', '--format', '{{.Digest}} {{.Id}}', name])
  assert.equal(stdout.trim(), `${image.digest} ${image.imageIds[0]?.replace('sha256:', '')}`)
  const folder = `copy-${image.digest.slice(-12)}`
  await tools.run(['skopeo', 'copy', '-q', '--src-tls-verify=false', `docker://${name}`, `dir:${folder}`])
  for (const [digest, bytes] of image.blobs) {
    assert.ok(readFileSync(join(tools.folder, folder, digest.replace('sha256:', ''))).equals(bytes))
  }
}

/** The digest of a manifest in a registry, by skopeo. */
export async function digestAt(tools: ContainerTools, name: string): Promise<string> {
  const inspect = ['skopeo', 'inspect', '--tls-verify=false', '--raw', `docker://${name}`]
  const raw = (await tools.run(inspect)).stdout
  writeFileSync(join(tools.folder, 'raw'), raw)
  return (await tools.run(['skopeo', 'manifest-digest', 'raw'])).stdout.trim()
}
