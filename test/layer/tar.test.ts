import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { defaultLayerLimits, type LayerLimits } from '../../src/image/layer-limits.ts'
import { tarReader } from '../../src/layer/tar.ts'
import {
  endOfArchive,
  type HeaderFields,
  header,
  member,
  padded,
  pax,
  type Recorded,
  recorder,
  withChecksum,
} from './archive.ts'

function read(archive: Buffer, { piece = archive.length, limits = {} as Partial<LayerLimits> } = {}): Recorded[] {
  const receiver = recorder()
  const reader = tarReader(receiver, { layer: 'sha256:abc', limits: { ...defaultLayerLimits, ...limits } })
  for (let at = 0; at < archive.length; at += piece) reader.write(archive.subarray(at, at + piece))
  reader.end()
  assert.equal(reader.entries, receiver.recorded.length)
  assert.ok(receiver.recorded.every(({ entry, ended }) => (entry.kind === 'file') === ended))
  return receiver.recorded
}

function one(...parts: Buffer[]): Recorded {
  const found = read(Buffer.concat([...parts, endOfArchive]))
  assert.equal(found.length, 1)
  return found[0] as Recorded
}

function refuses(parts: Buffer[], message: RegExp, { code = 'layer', limits = {} as Partial<LayerLimits> } = {}): void {
  assert.throws(() => read(Buffer.concat(parts), { limits }), { name: 'ForerunError', code, message })
}

function base256(value: bigint, length: number): Buffer {
  const bytes = Buffer.from(
    BigInt.asUintN(length * 8, value)
      .toString(16)
      .padStart(length * 2, '0'),
    'hex',
  )
  bytes[0] = (bytes[0] as number) | 0x80
  return bytes
}

const varied = Buffer.concat([
  member({ name: 'd/', type: '5', mode: '0000755' }),
  pax([
    ['path', 'd/a name'],
    ['mtime', '-1.25'],
    ['SCHILY.xattr.user.x', 'a\0b\n=c'],
  ]),
  member({ name: 'ignored' }, 'x'.repeat(700)),
  member({ name: '././@LongLink', type: 'L', magic: 'ustar  \0' }, `d/${'n'.repeat(150)}\0`),
  member({ name: 'd/nnn', magic: 'ustar  \0' }, 'y'.repeat(512)),
  member({ name: 'd/empty' }),
  pax([
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.name', 'd/sparse'],
    ['GNU.sparse.realsize', '3000'],
  ]),
  member(
    { name: 'GNUSparseFile.0/sparse' },
    Buffer.concat([padded(Buffer.from('1\n1000\n600\n')), Buffer.alloc(600, 'z')]),
  ),
  member({ name: 'd/link', type: '1', link: './d/a name' }),
  endOfArchive,
  Buffer.from('and anything'),
])

describe('an archive in pieces', () => {
  const whole = read(varied)
  for (const piece of [1, 7, 511, 512, 513, 1024, 4096]) {
    test(`of ${piece} bytes is the same archive`, () => assert.deepEqual(read(varied, { piece }), whole))
  }
  test('is what was written', () => {
    assert.deepEqual(
      whole.map(({ entry, content }) => [entry.kind, entry.path, content.length]),
      [
        ['directory', 'd', 0],
        ['file', 'd/a name', 700],
        ['file', `d/${'n'.repeat(150)}`, 512],
        ['file', 'd/empty', 0],
        ['file', 'd/sparse', 3000],
        ['hardlink', 'd/link', 0],
      ],
    )
    assert.equal(whole[4]?.holes, 2400)
    assert.equal(whole[4]?.content.indexOf('z'), 1000)
    assert.equal(whole[4]?.content.lastIndexOf('z'), 1599)
    const metadata = whole[1]?.entry.metadata
    assert.deepEqual(metadata?.mtime, { seconds: -2, nanoseconds: 750_000_000 })
    assert.deepEqual(metadata?.xattrs, new Map([['user.x', Buffer.from('a\0b\n=c')]]))
  })
})

test('an archive that is cut anywhere but between two entries is refused', () => {
  const archive = varied.subarray(0, varied.length - 12 - 1024)
  let accepted = 0
  for (let length = 0; length < archive.length; length += length % 512 === 511 || length % 512 === 0 ? 1 : 73) {
    let cut: Recorded[]
    try {
      cut = read(archive.subarray(0, length))
    } catch (error) {
      assert.equal((error as { code: string }).code, 'layer', String(error))
      assert.match((error as Error).message, /^layer sha256:abc: the archive is truncated, at byte \d+ of its archive$/)
      continue
    }
    assert.equal(length % 512, 0)
    assert.deepEqual(cut, read(varied).slice(0, cut.length))
    accepted++
  }
  assert.equal(accepted, 6) // nothing, and after each entry but the last
})

describe('names', () => {
  const path = (fields: HeaderFields, ...before: Buffer[]) => one(...before, member(fields)).entry.path
  test('ustar: the prefix goes before', () => assert.equal(path({ name: 'b', prefix: 'a' }), 'a/b'))
  test('star: its prefix is shorter', () => {
    const raw: HeaderFields['raw'] = [
      [476, Buffer.from('14000000000')],
      [508, Buffer.from('tar\0')],
    ]
    assert.equal(path({ name: 'b', prefix: 'a'.repeat(131), raw }), `${'a'.repeat(131)}/b`)
  })
  test('GNU: the times there are no prefix', () => {
    assert.equal(path({ name: 'b', magic: 'ustar  \0', prefix: '13733311364\x0013733311364' }), 'b')
  })
  test('GNU by Docker of 2016: the prefix is one', () => {
    assert.equal(path({ name: 'b', magic: 'ustar  \0', prefix: 'usr/share' }), 'usr/share/b')
  })
  test('v7 has no prefix', () => assert.equal(path({ name: 'b', magic: '', prefix: 'junk' }), 'b'))
  test('of exactly 100 bytes, without NUL', () => assert.equal(path({ name: 'n'.repeat(100) }), 'n'.repeat(100)))
  test('that are no UTF-8 stay as they are', () => {
    assert.equal(path({ name: '\xff\xfe' }), '\xff\xfe')
    assert.equal(path({ name: 'x' }, pax([['path', 'a\xe9\x80']])), 'a\xe9\x80')
  })
  test('are scoped to the root', () => {
    assert.equal(path({ name: '../../etc/./x' }), 'etc/x')
    assert.equal(path({ name: '/etc//x' }), 'etc/x')
    assert.equal(path({ name: './', type: '5' }), '')
  })
  test('GNU K gives a long target, and L wins over pax', () => {
    const { entry } = one(
      member({ name: '././@LongLink', type: 'K' }, `${'t'.repeat(200)}\0`),
      pax([['path', 'pax']]),
      member({ name: '././@LongLink', type: 'L' }, 'gnu\0'),
      member({ name: 'x', type: '2', link: 'short' }),
    )
    assert.deepEqual([entry.path, entry.kind === 'symlink' && entry.target], ['gnu', 't'.repeat(200)])
  })
  test('an empty record takes back what a global one said', () => {
    const global = pax(
      [
        ['uid', '5'],
        ['gid', '6'],
      ],
      'g',
    )
    assert.equal(one(global, member({ name: 'x' })).entry.metadata.uid, 5)
    const { metadata } = one(global, pax([['uid', '7']]), member({ name: 'x' })).entry
    assert.deepEqual([metadata.uid, metadata.gid], [7, 6])
    assert.equal(one(global, pax([['uid', '']], 'g'), member({ name: 'x' })).entry.metadata.uid, 0)
  })
})

describe('numbers', () => {
  const metadata = (fields: HeaderFields, ...before: Buffer[]) => one(...before, member(fields)).entry.metadata
  test('octal with spaces, NULs or nothing', () => {
    assert.equal(metadata({ name: 'x', uid: '  12 \0' }).uid, 10)
    assert.equal(metadata({ name: 'x', uid: '\0\0\0\0\0\0\0\0' }).uid, 0)
  })
  test('in base 256, also negative', () => {
    assert.equal(metadata({ name: 'x', raw: [[108, base256(2_000_000_000n, 8)]] }).uid, 2_000_000_000)
    assert.deepEqual(metadata({ name: 'x', mtime: base256(-5n, 12) }).mtime, { seconds: -5, nanoseconds: 0 })
  })
  test('the type in the mode is dropped, setuid is not', () =>
    assert.equal(metadata({ name: 'x', mode: '0104755' }).mode, 0o4755))
  test('pax wins: large ids, and a size', () => {
    assert.equal(metadata({ name: 'x' }, pax([['uid', '4294967294']])).uid, 4294967294)
    const { content } = one(pax([['size', '3']]), header({ name: 'x', size: 0 }), padded(Buffer.from('abc')))
    assert.equal(content.toString(), 'abc')
  })
  test('times have nine decimals', () => {
    assert.deepEqual(metadata({ name: 'x' }, pax([['mtime', '7.1234567899']])).mtime, {
      seconds: 7,
      nanoseconds: 123456789,
    })
    assert.deepEqual(metadata({ name: 'x' }, pax([['mtime', '-3.0']])).mtime, { seconds: -3, nanoseconds: 0 })
  })
  test('a checksum of signed bytes is one too', () => {
    const block = withChecksum(header({ name: '\xff\xfe\xfd' }), { signed: true })
    assert.equal(read(block)[0]?.entry.path, '\xff\xfe\xfd')
  })
})

describe('types', () => {
  const kind = (type: string, name = 'x') =>
    one(member({ name, type, link: 'to', major: '0000005', minor: '0000001' })).entry
  test('of POSIX', () => {
    assert.deepEqual(
      ['0', '7', '1', '2', '3', '4', '5', '6'].map((type) => kind(type).kind),
      ['file', 'file', 'hardlink', 'symlink', 'character-device', 'block-device', 'directory', 'fifo'],
    )
    assert.deepEqual(
      { ...kind('3'), metadata: 0 },
      { kind: 'character-device', path: 'x', metadata: 0, major: 5, minor: 1 },
    )
  })
  test('a v7 directory has a slash', () => {
    assert.deepEqual([kind('\0', 'x/').kind, kind('\0').kind, kind('0', 'x/').kind], ['directory', 'file', 'file'])
  })
  test('a symlink keeps its target as it is, a hardlink is cleaned', () => {
    const target = (type: string) => one(member({ name: 'x', type, link: '/a/../b/' })).entry
    assert.deepEqual(
      ['2', '1'].map((type) => ({ ...target(type), metadata: 0 })),
      [
        { kind: 'symlink', path: 'x', target: '/a/../b/', metadata: 0 },
        { kind: 'hardlink', path: 'x', target: 'b', metadata: 0 },
      ],
    )
  })
  test('the label of a volume and the dump of a directory are passed over', () => {
    const found = read(
      Buffer.concat([member({ name: 'v', type: 'V' }), member({ name: 'd', type: 'D' }, 'Yfile\0'), endOfArchive]),
    )
    assert.deepEqual(
      found.map(({ entry }) => `${entry.kind} ${entry.path}`),
      ['directory d'],
    )
  })
  test('a link may state the size of its file without bringing it, or bring it', () => {
    const after = member({ name: 'after' }, 'content')
    for (const [size, data] of [
      [700, ''],
      [700, 'q'.repeat(700)],
      [100, 'q'.repeat(100)],
      [512, 'q'.repeat(512)],
    ] as const) {
      const link = Buffer.concat([header({ name: 'l', type: '1', link: 'x', size }), padded(Buffer.from(data))])
      assert.deepEqual(
        read(Buffer.concat([link, after, endOfArchive])).map(({ content }) => content.toString()),
        ['', 'content'],
      )
    }
  })
  test('an unknown one is refused by name', () => {
    refuses([member({ name: 'x', type: 'Z' })], /'x' of an unknown type \('Z'\), at byte 0/)
    refuses([member({ name: 'x', type: 'M' })], /unknown type/)
  })
})

describe('extended attributes', () => {
  const xattrs = (...records: [string, string | Buffer][]) =>
    one(pax(records), member({ name: 'x' })).entry.metadata.xattrs
  test('are bytes, in the order of their names, empty ones too', () => {
    const value = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
    assert.deepEqual(
      [...xattrs(['SCHILY.xattr.user.b', value], ['SCHILY.xattr.user.a', '1'], ['SCHILY.xattr.user.c', ''])],
      [
        ['user.a', Buffer.from('1')],
        ['user.b', value],
        ['user.c', Buffer.alloc(0)],
      ],
    )
  })
  test('as libarchive writes them', () => {
    assert.deepEqual([...xattrs(['LIBARCHIVE.xattr.user.%3D', 'AP8='])], [['user.=', Buffer.from([0, 255])]])
  })
})

describe('sparse files', () => {
  const data = Buffer.concat([Buffer.alloc(512, 'a'), Buffer.alloc(100, 'b')])
  const expected = Buffer.concat([
    Buffer.alloc(512),
    Buffer.alloc(512, 'a'),
    Buffer.alloc(476),
    Buffer.alloc(100, 'b'),
    Buffer.alloc(400),
  ])
  const size = expected.length
  const check = (...parts: Buffer[]) => {
    const { entry, content, holes } = one(...parts)
    assert.equal(entry.kind === 'file' && entry.size, size)
    assert.equal(holes, 1388)
    assert.ok(content.equals(expected))
  }
  const octal = (value: number) => Buffer.from(`${value.toString(8).padStart(11, '0')}\0`)

  test('0.0: a record each', () => {
    const numbers = [512, 512, 1500, 100, size, 0].map((value, index): [string, string] => [
      index % 2 === 0 ? 'GNU.sparse.offset' : 'GNU.sparse.numbytes',
      String(value),
    ])
    check(
      pax([['GNU.sparse.size', String(size)], ['GNU.sparse.numblocks', '3'], ...numbers]),
      member({ name: 'x' }, data),
    )
  })
  test('0.1: one record', () => {
    check(
      pax([
        ['GNU.sparse.size', String(size)],
        ['GNU.sparse.map', `512,512,1500,100,${size},0`],
      ]),
      member({ name: 'x' }, data),
    )
  })
  test('1.0: before the content, over several blocks', () => {
    const empty = Array.from({ length: 200 }, () => `${size}\n0\n`).join('')
    const map = padded(Buffer.from(`202\n512\n512\n1500\n100\n${empty}`))
    check(
      pax([
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.realsize', String(size)],
      ]),
      member({ name: 'x' }, Buffer.concat([map, data])),
    )
  })
  test('the older GNU format, with a block that extends the header', () => {
    const old = header({
      name: 'x',
      type: 'S',
      magic: 'ustar  \0',
      size: data.length,
      raw: [
        [386, octal(512)],
        [398, octal(512)],
        [482, Buffer.from([1])],
        [483, octal(size)],
      ],
    })
    const extension = Buffer.alloc(512)
    octal(1500).copy(extension, 0)
    octal(100).copy(extension, 12)
    check(old, extension, padded(data))
  })
  test('one of a single hole', () => {
    const { content, holes } = one(
      pax([
        ['GNU.sparse.size', '10000'],
        ['GNU.sparse.map', ''],
      ]),
      member({ name: 'x' }),
    )
    assert.deepEqual([content.length, holes], [10000, 10000])
  })
  test('maps that lie are refused', () => {
    const sparse = (map: string, length = 612) => [
      pax([
        ['GNU.sparse.size', '2000'],
        ['GNU.sparse.map', map],
      ]),
      member({ name: 'x' }, Buffer.alloc(length)),
    ]
    refuses(sparse('512,512,600,100'), /not in order/)
    refuses(sparse('512,512,1950,100'), /beyond the end/)
    refuses(sparse('512,512'), /512 bytes where 612/)
    refuses(sparse('512,512,1500,100', 100), /612 bytes where 100/)
    refuses(sparse('512'), /malformed sparse file/)
    refuses(sparse('1,x'), /no number/)
  })
  test('a map that never ends is refused', () => {
    const before = pax([
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.realsize', '9'],
    ])
    refuses([before, member({ name: 'x' }, '9'.repeat(512))], /malformed sparse map/)
    refuses([before, member({ name: 'x' }, '999\n1\n'), endOfArchive], /malformed sparse map|truncated|no number/)
  })
})

describe('what is malformed is refused', () => {
  const after = member({ name: 'good' }, 'content')
  test('garbage, and where it is', () => {
    refuses(
      [after, Buffer.alloc(512, 'garbage')],
      /^layer sha256:abc: no tar header \(its checksum is wrong\), at byte 1024 of its archive$/,
    )
  })
  test('one flipped bit', () => {
    const block = header({ name: 'x' })
    block[3] = 1
    refuses([block], /checksum/)
  })
  test('a lone block of zeros', () => {
    refuses([Buffer.alloc(512), after], /zeros between entries/)
    assert.equal(read(Buffer.concat([after, Buffer.alloc(512)])).length, 1)
  })
  test('numbers and owners', () => {
    refuses([member({ name: 'x', mode: '00009' })], /no number \(byte 100/)
    refuses([member({ name: 'x', raw: [[124, base256(-1n, 12)]] })], /negative size/)
    refuses([member({ name: 'x', raw: [[124, Buffer.alloc(12, 0xbf)]] })], /no number \(byte 124/)
    refuses([pax([['uid', '4294967295']]), member({ name: 'x' })], /impossible owner/)
    refuses([member({ name: 'x', type: '3', raw: [[329, base256(5000n, 8)]] })], /impossible device/)
  })
  test('extended headers', () => {
    for (const body of ['4 a=\n', '9 path=x\n9', '3 a\n', 'x a=b\n', '6 a=b\n\n', '999 a=b\n', '5 =b\n', '6 a=bX']) {
      refuses([member({ name: 'x', type: 'x' }, body), after], /malformed record/)
    }
    refuses([pax([['path', 'a\0b']]), after], /a NUL in the record 'path'/)
    refuses([pax([['size', '-1']]), after], /no number in the record 'size'/)
    refuses([pax([['mtime', 'now']]), after], /no time in the record 'mtime'/)
    refuses([pax([['comment', 'nothing follows']])], /truncated/)
    refuses([pax([['comment', 'nothing follows']]), endOfArchive], /without an entry/)
  })
  test('names and links', () => {
    refuses([member({ name: '/' })], /a file without a name/)
    refuses([member({ name: 'x', type: '1', link: '/' })], /hardlink to the root/)
    refuses([member({ name: 'x', type: '2' })], /'x', a symlink to nothing/)
    refuses([pax([['linkpath', '../'.repeat(1400)]]), member({ name: 'x', type: '2' })], /'x', a symlink to 4200 bytes/)
    refuses([pax([['path', 'n'.repeat(256)]]), after], /a file name of 256 bytes/)
  })
  for (const name of ['.wh.', '.wh..', '.wh...', 'd/.wh.', 'd/.wh..', 'd/.wh...', './d//.wh..']) {
    test(`a whiteout called ${name}`, () => refuses([member({ name }), after], /'[d/.wh]+', a whiteout of no name, at/))
  }
  test('but no whiteout of a name that begins with two dots', () => {
    assert.equal(one(member({ name: 'd/.wh...x' })).entry.path, 'd/.wh...x')
  })
})

describe('limits', () => {
  const refusesOver = (limits: Partial<LayerLimits>, message: RegExp, ...parts: Buffer[]) => {
    refuses([...parts, endOfArchive], message, { code: 'limit', limits })
    assert.throws(
      () => read(Buffer.concat(parts), { limits }),
      (error: { hint?: string }) => /raise '[a-z-]+' under \[limits\]/.test(error.hint ?? ''),
    )
  }
  const file = member({ name: 'a/b/c' }, 'x'.repeat(600))
  test('entries', () => refusesOver({ entries: 1 }, /more than 1 entries/, file, file))
  test('the size of a file', () => refusesOver({ fileSize: 599 }, /'a\/b\/c' of 600 bytes \(599 are allowed\)/, file))
  test('the size of a file with its holes', () => {
    refusesOver(
      { fileSize: 10 ** 6 },
      /of 2000000 bytes/,
      pax([
        ['GNU.sparse.size', '2000000'],
        ['GNU.sparse.map', ''],
      ]),
      header({ name: 'x' }),
    )
  })
  test('the size of a layer, holes included, trailing bytes included', () => {
    refusesOver({ layerSize: 1500 }, /more than 1500 bytes/, file)
    refusesOver(
      { layerSize: 10 ** 6 },
      /more than/,
      pax([
        ['GNU.sparse.size', '2000000'],
        ['GNU.sparse.map', ''],
      ]),
      header({ name: 'x' }),
    )
    refusesOver({ layerSize: 5000 }, /more than/, file, endOfArchive, Buffer.alloc(5000))
  })
  test('of the image, with what its other layers have', () => {
    const limits = { ...defaultLayerLimits, imageEntries: 11, imageSize: 1000 }
    const reading = (others: { entries: number; size: number }) => {
      const reader = tarReader(recorder(), { layer: 'sha256:abc', limits, others })
      reader.write(file)
    }
    reading({ entries: 10, size: 400 })
    assert.throws(() => reading({ entries: 11, size: 400 }), { code: 'limit', message: /11 entries in the image, at/ })
    assert.throws(() => reading({ entries: 10, size: 401 }), {
      code: 'limit',
      message: /more than 1000 bytes in the files of the image/,
      hint: /raise 'image-size' under \[limits\]/,
    })
  })
  test('paths', () => {
    refusesOver({ pathLength: 4 }, /a path of 5 bytes/, file)
    refusesOver({ pathDepth: 2 }, /a path of 3 parts/, file)
    const link = member({ name: 'x', type: '2', link: 'abcde' })
    refusesOver({ pathLength: 4 }, /'x', a symlink to 5 bytes \(4 are allowed\)/, link)
  })
  test('extended headers, also all global ones together', () => {
    refusesOver({ extendedHeaderSize: 50 }, /an extended header of/, pax([['comment', 'x'.repeat(60)]]))
    const globals = Array.from({ length: 9 }, (_, index) => pax([[`k${index}`, 'x'.repeat(10)]], 'g'))
    refusesOver({ extendedHeaderSize: 50 }, /an extended header of/, ...globals)
  })
  test('extended attributes', () => {
    const two = [
      pax([
        ['SCHILY.xattr.user.a', 'xxx'],
        ['SCHILY.xattr.user.b', ''],
      ]),
      file,
    ]
    refusesOver({ xattrs: 1 }, /2 extended attributes/, ...two)
    refusesOver({ xattrSize: 2 }, /an extended attribute of 3 bytes/, ...two)
  })
})

test('what the receiver throws ends the reading as it is', () => {
  const failure = new Error('no space left')
  const receiver = {
    ...recorder(),
    content() {
      throw failure
    },
  }
  const reader = tarReader(receiver, { layer: 'sha256:abc', limits: defaultLayerLimits })
  assert.throws(() => reader.write(varied), failure)
})

test('damage of any kind ends in an error of the layer or in entries that keep their word', () => {
  let state = 1
  const random = (below: number) => {
    state = (state * 1103515245 + 12345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * below)
  }
  for (let round = 0; round < 1500; round++) {
    const damaged = Buffer.from(varied)
    for (let count = random(3); count >= 0; count--) {
      damaged[random(damaged.length - 1036)] = '01234567 \n\0=\x80SxgLK5'.charCodeAt(random(19))
    }
    for (let at = 0; round % 4 > 0 && at + 512 <= damaged.length; at += 512) {
      if (damaged.toString('latin1', at + 257, at + 262) === 'ustar') withChecksum(damaged.subarray(at, at + 512))
    }
    try {
      const recorded = read(damaged, { piece: 1 + random(1500), limits: { fileSize: 1e6, layerSize: 1e7 } })
      for (const { entry, content } of recorded) if (entry.kind === 'file') assert.equal(content.length, entry.size)
    } catch (error) {
      assert.match(String((error as { code?: string }).code), /^(?:layer|limit)$/, String(error))
    }
  }
})
