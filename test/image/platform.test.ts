import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseManifest } from '../../src/image/choose-manifest.ts'
import type { Descriptor } from '../../src/image/descriptor.ts'
import { checkPlatform, formatPlatform, hostPlatform, parsePlatform } from '../../src/image/platform.ts'

const v2Flags = 'cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3'
const v3Flags = `${v2Flags} abm avx avx2 bmi1 bmi2 f16c fma movbe xsave`

test('the host is named as Go names it, with its variant', () => {
  const hosts: [string, string, string][] = [
    ['x64', '', 'linux/amd64'],
    ['x64', 'flags\t\t: fpu vme', 'linux/amd64'],
    ['x64', `flags\t\t: fpu ${v2Flags} vme`, 'linux/amd64/v2'],
    ['x64', `flags\t\t: fpu ${v3Flags}`, 'linux/amd64/v3'],
    ['x64', `flags\t\t: ${v3Flags} avx512f avx512bw avx512cd avx512dq avx512vl`, 'linux/amd64/v4'],
    ['x64', `flags\t\t: avx512f avx512bw avx512cd avx512dq avx512vl`, 'linux/amd64'],
    ['arm64', 'CPU architecture: 8', 'linux/arm64'],
    ['arm', 'model name\t: ARMv7 Processor\nCPU architecture: 7\n', 'linux/arm/v7'],
    ['arm', 'model name\t: ARMv6-compatible processor rev 7\nCPU architecture: 7\n', 'linux/arm/v6'],
    ['arm', 'CPU architecture: AArch64\n', 'linux/arm/v8'],
    ['ia32', '', 'linux/386'],
    ['riscv64', '', 'linux/riscv64'],
    ['s390x', '', 'linux/s390x'],
    ['loong64', '', 'linux/loong64'],
  ]
  for (const [arch, cpuinfo, name] of hosts) assert.equal(formatPlatform(hostPlatform({ arch, cpuinfo })), name)
  assert.match(formatPlatform(hostPlatform()), /^linux\//)
})

test('a platform is read from text, whatever the architecture is called', () => {
  assert.deepEqual(parsePlatform('linux/arm/v7'), { os: 'linux', architecture: 'arm', variant: 'v7' })
  assert.deepEqual(parsePlatform('linux/x86_64'), { os: 'linux', architecture: 'amd64' })
  assert.deepEqual(parsePlatform('linux/aarch64'), { os: 'linux', architecture: 'arm64' })
  for (const text of ['', 'linux', 'linux/', '/arm', 'a/b/c/d', 'linux/arm ']) {
    assert.throws(() => parsePlatform(text), { code: 'usage', hint: /OS\/ARCHITECTURE/ }, text)
  }
})

test('the best variant that runs on the host is chosen', () => {
  const choices: [string, string[], string][] = [
    ['linux/arm/v7', ['linux/arm/v5', 'linux/arm/v6', 'linux/arm/v7', 'linux/arm64'], 'linux/arm/v7'],
    ['linux/arm/v7', ['linux/arm/v5', 'linux/arm/v6', 'linux/arm/v8'], 'linux/arm/v6'],
    ['linux/arm/v6', ['linux/arm/v7', 'linux/arm/v5'], 'linux/arm/v5'],
    ['linux/arm/v8', ['linux/arm', 'linux/arm/v7'], 'linux/arm/v7'],
    ['linux/arm', ['linux/arm/v7'], 'linux/arm/v7'],
    ['linux/arm', ['linux/arm/v7', 'linux/arm', 'linux/arm/v6'], 'linux/arm'],
    ['linux/arm', ['linux/arm/v5', 'linux/arm/v6', 'linux/arm/v8'], 'linux/arm/v6'],
    ['linux/arm/v7', ['linux/arm/7'], 'linux/arm/7'],
    ['linux/arm64', ['linux/arm/v7', 'linux/arm64/v8'], 'linux/arm64/v8'],
    ['linux/arm64/v8', ['linux/arm64'], 'linux/arm64'],
    ['linux/amd64', ['linux/amd64/v3', 'linux/amd64'], 'linux/amd64'],
    ['linux/amd64/v3', ['linux/amd64', 'linux/amd64/v2', 'linux/amd64/v4'], 'linux/amd64/v2'],
    ['linux/amd64/v3', ['windows/amd64', 'linux/amd64'], 'linux/amd64'],
  ]
  for (const [wanted, offered, chosen] of choices) {
    const manifests = offered.map((name) => entry(name))
    const descriptor = chooseManifest(manifests, parsePlatform(wanted))
    assert.equal(offered[manifests.indexOf(descriptor)], chosen, `${wanted} of ${offered}`)
  }
})

test('of equal entries the first is chosen', () => {
  const manifests = [entry('linux/amd64'), entry('linux/amd64')]
  assert.equal(chooseManifest(manifests, parsePlatform('linux/amd64')), manifests[0])
})

test('attestations beside the images are passed over', () => {
  const image = entry('linux/amd64')
  const attestation = { ...image, annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } }
  const artifact = { ...image, mediaType: 'application/x.y' }
  assert.equal(
    chooseManifest([entry('unknown/unknown'), attestation, artifact, image], parsePlatform('linux/amd64')),
    image,
  )
})

test('an artifact is chosen only where there is no image', () => {
  const image = entry('linux/amd64')
  const artifact = { ...image, artifactType: 'application/spdx+json' }
  const { platform: _, ...plain } = artifact
  const wanted = parsePlatform('linux/amd64')
  assert.equal(chooseManifest([artifact, plain, image], wanted), image)
  assert.equal(chooseManifest([plain], wanted), plain)
  const typed = { ...image, artifactType: 'application/vnd.oci.image.config.v1+json' }
  assert.equal(chooseManifest([typed, image], wanted), typed)
})

test('an entry that breaks the specification is refused when it is the one for the host, and only then', () => {
  const fault = 'manifests[0].digest: not a sha256 or sha512 digest'
  const faulty = { mediaType: '', platform: parsePlatform('linux/s390x'), fault }
  const image = entry('linux/amd64')
  assert.equal(chooseManifest([faulty, image], parsePlatform('linux/amd64')), image)
  assert.throws(() => chooseManifest([faulty, image], parsePlatform('linux/s390x')), {
    code: 'manifest',
    message: 'the image index is malformed: manifests[0].digest: not a sha256 or sha512 digest',
  })
  const untold = { ...image, mediaType: '', platform: { os: '', architecture: '' } }
  assert.throws(() => chooseManifest([untold], parsePlatform('linux/amd64')), {
    message: 'the image is not made for linux/amd64',
  })
  const untyped = { ...image, mediaType: '' }
  assert.equal(chooseManifest([untyped], parsePlatform('linux/amd64')), untyped)
})

test('an entry without a platform is taken when no other fits', () => {
  const { platform: _, ...plain } = entry('linux/amd64')
  const image = entry('linux/amd64')
  assert.equal(chooseManifest([plain, image], parsePlatform('linux/amd64')), image)
  assert.equal(chooseManifest([plain, image], parsePlatform('linux/s390x')), plain)
})

test('an image that is not made for the host is refused, naming what is offered', () => {
  const offered = ['linux/amd64/v4', 'linux/arm64', 'linux/arm64', 'unknown/unknown'].map((name) => entry(name))
  assert.throws(() => chooseManifest(offered, parsePlatform('linux/amd64/v3')), {
    code: 'platform',
    message: 'the image is not made for linux/amd64/v3, but for linux/amd64/v4, linux/arm64',
    hint: /this host/,
  })
  assert.throws(() => chooseManifest([], parsePlatform('linux/amd64')), {
    message: 'the image is not made for linux/amd64',
  })
})

test("a configuration's platform is checked, and one that says nothing passes", () => {
  const wanted = parsePlatform('linux/amd64/v2')
  checkPlatform({ os: 'linux', architecture: 'amd64' }, wanted)
  checkPlatform({ os: '', architecture: '' }, wanted)
  assert.throws(() => checkPlatform(parsePlatform('linux/arm64'), wanted), {
    code: 'platform',
    message: /linux\/arm64/,
  })
  assert.throws(() => checkPlatform(parsePlatform('linux/amd64/v3'), wanted), { code: 'platform' })
})

function entry(name: string): Descriptor {
  return {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${'0'.repeat(64)}`,
    size: 1,
    platform: parsePlatform(name),
  }
}
