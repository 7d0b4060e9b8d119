import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { parseReference } from '../../../../src/image/reference.ts'
import type { ContainersPlace } from '../../../../src/source/registry/config/containers-folders.ts'
import { signaturePlaces } from '../../../../src/source/registry/config/registries-d.ts'

class Host implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'forerun-registries-d-'))
  readonly place: ContainersPlace = { root: this.root, environment: { HOME: join(this.root, 'home') }, uid: 0 }

  /** Names without a folder are in that of `/etc`. */
  constructor(files: Record<string, string>) {
    for (const [name, text] of Object.entries(files)) {
      const file = join(this.root, name.includes('/') ? name : `etc/containers/registries.d/${name}`)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, text)
    }
  }

  places(name: string): [string, boolean] {
    const { lookaside, attachments } = signaturePlaces(parseReference(name), this.place)
    return [lookaside.href.replace(this.root, ''), attachments]
  }

  enabling(name: string): string {
    return signaturePlaces(parseReference(name), this.place).enabling
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true })
  }
}

test('each setting comes from the most specific section that has it', () => {
  using host = new Host({
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
  using host = new Host({ 'empty.yaml': '', 'comment.yaml': '# nothing\n', 'null.yaml': 'docker:\n' })
  assert.deepEqual(host.places('busybox'), ['file:///var/lib/containers/sigstore', false])
  const place = { root: '/nowhere', environment: { HOME: '/home/a b' }, uid: 1000 }
  const { lookaside } = signaturePlaces(parseReference('a.example/b'), place)
  assert.equal(lookaside.href, 'file:///home/a%20b/.local/share/containers/sigstore')
})

test('the folders of vendor, administrator and user are read together, one file of each name', () => {
  using host = new Host({
    'usr/share/containers/registries.d/a.yaml': 'docker: { vendor.example: { lookaside: "file:///masked" } }',
    'usr/share/containers/registries.d/b.yaml': 'docker: { vendor.example: { lookaside: "file:///vendor" } }',
    'etc/containers/registries.d/a.yaml': 'docker: { admin.example: { lookaside: "file:///admin" } }',
    'etc/containers/registries.rootful.d/c.yaml': 'docker: { root.example: { lookaside: "file:///root" } }',
    'etc/containers/registries.rootless.d/d.yaml': 'docker: { rootless.example: { lookaside: "file:///rootless" } }',
    'home/.config/containers/registries.d/e.yaml': 'docker: { user.example: { lookaside: "file:///user" } }',
  })
  const found = ['vendor', 'admin', 'root', 'user', 'rootless'].map((name) => host.places(`${name}.example/x`)[0])
  const builtIn = 'file:///var/lib/containers/sigstore'
  assert.deepEqual(found, ['file:///vendor', 'file:///admin', 'file:///root', 'file:///user', builtIn])
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
    using host = new Host({ 'a.yaml': text })
    assert.throws(() => host.places('a.example/b'), { name: 'ForerunError', code: 'settings', message })
  }
})

test('a section that two files have is refused', () => {
  using host = new Host({ 'a.yaml': 'docker: { a.example: {} }', 'b.yaml': 'docker: { a.example: {} }' })
  assert.throws(() => host.places('a.example/b'), {
    code: 'settings',
    message: /b\.yaml: 'docker: a\.example' is in .*a\.yaml, too/,
  })
  using other = new Host({ 'a.yaml': 'default-docker: {}', 'b.yaml': 'default-docker: {}' })
  assert.throws(() => other.places('a.example/b'), { code: 'settings', message: /'default-docker' is in/ })
})

test('what is to be written to look for attachments names the section that is in force', () => {
  using host = new Host({ 'a.yaml': 'docker: { a.example/b: { use-sigstore-attachments: false } }' })
  assert.match(host.enabling('a.example/b/c'), /: true' below 'docker: a\.example\/b' in .*\/a\.yaml$/)
  const path = /below 'docker: c\.example:5000' in \/etc\/containers\/registries\.d\/c\.example-5000\.yaml$/
  assert.match(host.enabling('c.example:5000/b'), path)
})
