import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseReference } from '../../../src/image/reference.ts'
import { signaturePlaces } from '../../../src/source/registry/registries-d.ts'

function registriesD(
  files: Record<string, string>,
): Disposable & { places(name: string): [string, boolean]; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'forerun-registries-d-'))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return {
    folder,
    places(name) {
      const { lookaside, attachments } = signaturePlaces(parseReference(name), { folder })
      return [lookaside.href, attachments]
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  }
}

test('each setting comes from the most specific section that has it', () => {
  using host = registriesD({
    'default.yaml': 'default-docker:\n  lookaside: file:///default\n',
    'one.yaml': `docker:
  registry.example: { sigstore: "https://example/old", use-sigstore-attachments: true }
  registry.example/team: { lookaside: "https://example/team", lookaside-staging: file:///staging }
  registry.example/team/app: { use-sigstore-attachments: false }
  registry.example/team/app:2: { use-sigstore-attachments: true, lookaside: "" }
  "*.wild.example": { lookaside: "file:///wild" }
  registry.example:5000: { use-sigstore-attachments: true }
  `,
    'ignored.yml': ': : :',
  })
  assert.deepEqual(host.places('registry.example/other'), ['https://example/old', true])
  assert.deepEqual(host.places('registry.example/team/tool'), ['https://example/team', true])
  assert.deepEqual(host.places('registry.example/team/app'), ['https://example/team', false])
  assert.deepEqual(host.places('registry.example/team/app:2'), ['https://example/team', true])
  assert.deepEqual(host.places('registry.example/teams/app'), ['https://example/old', true])
  assert.deepEqual(host.places('registry.example:5000/team/app'), ['file:///default', true])
  assert.deepEqual(host.places('a.b.wild.example:443/x'), ['file:///wild', false])
  assert.deepEqual(host.places('busybox'), ['file:///default', false])
})

test('without any file the storage is where the containers tools write', () => {
  using host = registriesD({ 'empty.yaml': '', 'comment.yaml': '# nothing\n', 'null.yaml': 'docker:\n' })
  const folder =
    process.getuid?.() === 0 ? /^file:\/\/\/var\/lib\/containers\/sigstore$/ : /share\/containers\/sigstore$/
  assert.match(host.places('busybox')[0], folder)
  assert.equal(host.places('busybox')[1], false)
  assert.match(signaturePlaces(parseReference('a.example/b'), { folder: '/nowhere' }).lookaside.href, folder)
})

test('a file that is not as it should be is named with its line', () => {
  const faults: [string, RegExp][] = [
    ['docker:\n  a: [1\n', /a\.yaml:[23]: /],
    ['docker:\n  a.example:\n    lookaside: [x]\n', /a\.yaml:3: docker: a\.example: lookaside: not a text$/],
    ['docker:\n  a.example:\n\n    use-sigstore-attachments: "yes"\n', /a\.yaml:4: .*neither true nor false$/],
    ['docker:\n  a: {}\n  a: {}\n', /a\.yaml:3: .*unique/i],
    ['- a\n', /a\.yaml:1: /],
    ['docker: [a]\n', /a\.yaml:1: docker: /],
    ['docker:\n  a.example: { lookaside: "ftp://x/" }\n', /a\.yaml: lookaside is no address/],
    ['docker:\n  a.example: { lookaside: "file://host/x" }\n', /a\.yaml: lookaside is no address/],
    ['docker:\n  a.example: { lookaside: "relative" }\n', /a\.yaml: lookaside is no address/],
  ]
  for (const [text, message] of faults) {
    using host = registriesD({ 'a.yaml': text })
    assert.throws(() => host.places('a.example/b'), { name: 'ForerunError', code: 'settings', message })
  }
})

test('a section that two files have is refused', () => {
  using host = registriesD({ 'a.yaml': 'docker: { a.example: {} }', 'b.yaml': 'docker: { a.example: {} }' })
  assert.throws(() => host.places('a.example/b'), {
    code: 'settings',
    message: /b\.yaml: 'docker: a\.example' is in .*a\.yaml, too/,
  })
  using other = registriesD({ 'a.yaml': 'default-docker: {}', 'b.yaml': 'default-docker: {}' })
  assert.throws(() => other.places('a.example/b'), { code: 'settings', message: /'default-docker' is in/ })
})

test('what is to be written to look for attachments names the section that is in force', () => {
  const enabling = (name: string, folder: string) => signaturePlaces(parseReference(name), { folder }).enabling
  using host = registriesD({ 'a.yaml': 'docker: { a.example/b: { use-sigstore-attachments: false } }' })
  assert.match(enabling('a.example/b/c', host.folder), /: true' below 'docker: a\.example\/b' in .*\/a\.yaml$/)
  assert.match(
    enabling('c.example:5000/b', host.folder),
    /below 'docker: c\.example:5000' in .*\/c\.example_5000\.yaml$/,
  )
})
