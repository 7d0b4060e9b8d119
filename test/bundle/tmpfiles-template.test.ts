import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTemplate } from '../../src/bundle/template.ts'
import { tmpfilesPaths } from '../../src/bundle/tmpfiles.ts'
import { renderTmpfilesTemplate } from '../../src/bundle/tmpfiles-template.ts'

const render = (text: string, value: string) =>
  renderTmpfilesTemplate(parseTemplate(text, '/exports/tmpfiles.template'), new Map([['V', value]]))

for (const [line, value, rendered] of [
  ['d /srv/$V 0755 root root - -', 'a b%"', 'd /srv/"a b%%\\"" 0755 root root - -'],
  ["d '/srv/$V' 0755", "it's", "d '/srv/it\\'s' 0755"],
  ['d /srv/x $V 0 0', '', 'd /srv/x "" 0 0'],
  ['f /srv/x - - - - $V', ' "a" 5%\\', 'f /srv/x - - - - \\x20"a" 5%%\\\\'],
  ['L /srv/x - - - - /$V/y', 'a b', 'L /srv/x - - - - /a b/y'],
  ['t /srv/x - - - - user.a="$V"', 'a"b', 't /srv/x - - - - user.a="a\\"b"'],
  ['t /srv/x - - - - user.a=$V', 'a b', 't /srv/x - - - - user.a="a b"'],
  ['h /srv/x - - - - $V', '+C', 'h /srv/x - - - - +C'],
  ["# it's $V", '5%"', '# it\'s 5%"'],
  ['$V', 'd /srv/%H', 'd /srv/%H'],
] as const) {
  test(`${JSON.stringify(value)} in ${line} is ${rendered}`, () => {
    assert.equal(render(line, value), rendered)
  })
}

test('the path with a value is the one that is undone', () => {
  for (const value of ['a b', '50%t', 'q"\\\'', 'tab\there']) {
    assert.deepEqual(tmpfilesPaths(render('d /srv/$V 0755\nd "/srv/$V" 0755', value)), [
      `/srv/${value}`,
      `/srv/${value}`,
    ])
  }
})

test('what would begin a new line, or stands after a backslash, is refused with its line', () => {
  assert.throws(() => render('# a\nd /srv/$V', 'a\nd /b'), {
    code: 'template',
    message: "The value of 'V' has a line break, which line 2 of '/exports/tmpfiles.template' cannot hold",
  })
  assert.throws(() => render('d /srv/\\$V', 'n'), { code: 'template', message: /'V' .* line 1 .*after a backslash$/ })
})
