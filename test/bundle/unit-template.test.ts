// biome-ignore-all lint/suspicious/noTemplateCurlyInString: values and templates under test
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTemplate } from '../../src/bundle/template.ts'
import { parseUnit, unitValue } from '../../src/bundle/unit-file.ts'
import { renderUnitTemplate } from '../../src/bundle/unit-template.ts'

function render(text: string, value: string, more: Record<string, string> = {}): string {
  const values = new Map(Object.entries({ V: value, EMPTY: '', ...more }))
  return renderUnitTemplate(parseTemplate(text, '/exports/service.template'), values)
}

for (const [line, value, rendered] of [
  ['Environment="A=$V"', 'p"q\\%$x', 'Environment="A=p\\"q\\\\%%$x"'],
  ["Environment='A=$V'", 'it\'s "b"', "Environment='A=it\\'s \"b\"'"],
  ['Environment=A=$V B=1', 'x y', 'Environment=A="x y" B=1'],
  ['Environment=$V', 'A=x y B=%', 'Environment="A=x y" B=%%'],
  ['ExecStart=/bin/x --opt=$V', 'a b$', 'ExecStart=/bin/x --opt="a b$$"'],
  ['ExecStart=:/bin/x --opt=$V', '$HOME', 'ExecStart=:/bin/x --opt=$HOME'],
  ['ExecStart=-$V run', '/opt/$x/50%', 'ExecStart=-/opt/$x/50%% run'],
  ['ExecStart=/bin/x $V y', '-a  "b"', 'ExecStart=/bin/x -a "\\"b\\"" y'],
  ['ExecStart=/bin/x $EMPTY y', '', 'ExecStart=/bin/x  y'],
  ['ExecStart=/bin/x "$EMPTY" y', '', 'ExecStart=/bin/x "" y'],
  ['ExecStart=/bin/x $V', ';', 'ExecStart=/bin/x ";"'],
  ['RequiresMountsFor=/srv/$V', 'a\tb"', 'RequiresMountsFor=/srv/"a\tb\\""'],
  ['BindPaths=$V', '/a:/b /c', 'BindPaths=/a:/b /c'],
  ['After=$V x.service', 'a.service dev-a\\x2db.device', 'After=a.service dev-a\\x2db.device x.service'],
  ['WorkingDirectory=/srv/$V/x', 'a "b" \\ 5%', 'WorkingDirectory=/srv/a "b" \\ 5%%/x'],
  ['Description=$V.', ' "a" \\ ', undefined],
  ['CPUQuota=$V', '20%', 'CPUQuota=20%'],
  ['MemoryMax=$V', '50%', 'MemoryMax=50%'],
  ['StandardInputText=$V', 'a\\b"%', 'StandardInputText=a\\\\b"%%'],
  ['SetCredential=k:$V', 'a\\b%', 'SetCredential=k:a\\\\b%'],
  ['# $V', '50%\\', '# 50%\\'],
  ['$V', 'CPUWeight=50', 'CPUWeight=50'],
  ['${V}Start=/bin/x %n', 'Exec', 'ExecStart=/bin/x %n'],
  ['X-$V=a', 'b', 'X-b=a'],
] as const) {
  const title = `${JSON.stringify(value)} in ${line} is ${rendered === undefined ? 'refused' : rendered}`
  test(title, () => {
    if (rendered === undefined) assert.throws(() => render(line, value), { code: 'template' })
    else assert.equal(render(line, value), rendered)
  })
}

test('commands are in the syntax of systemd already, in quotes and after a colon too', () => {
  const EXEC_START = '"/opt/oci run/runc" run --pid-file /run/$$x/50%%'
  const text = 'ExecStart=$EXEC_START\nExecStartPre=:$EXEC_START\nExecStop=/bin/sh -c "exec $EXEC_START"\n'
  assert.equal(
    render(text, '', { EXEC_START }),
    'ExecStart="/opt/oci run/runc" run --pid-file /run/$$x/50%%\n' +
      'ExecStartPre=:"/opt/oci run/runc" run --pid-file /run/$x/50%%\n' +
      'ExecStop=/bin/sh -c "exec \\"/opt/oci run/runc\\" run --pid-file /run/$$x/50%%"\n',
  )
})

test('quotes and the words of a command go on over several lines, past comments', () => {
  const text = 'ExecStart=/bin/sh -c "a \\\n# it\'s $V\n  $V" $V \\\n  $V\nUser=x\n'
  assert.equal(
    render(text, '$ "'),
    'ExecStart=/bin/sh -c "a \\\n# it\'s $ "\n  $$ \\"" $$ "\\"" \\\n  $$ "\\""\nUser=x\n',
  )
})

for (const [text, value, problem] of [
  ['Description=$V', 'a\\', 'it ends in a backslash'],
  ['Description=a $V\\\n b', 'a\\', 'it ends in a backslash'],
  ['$V', 'Environment=A=\\', 'it ends in a backslash'],
  ['WorkingDirectory=$V', '/srv/a ', 'it begins or ends with a blank'],
  ['PIDFile=$V', ' /srv/a', 'it begins or ends with a blank'],
  ['After=$V', 'a/b', 'no name of a unit has "/"'],
  ['After=$V.service', 'a b', 'no name of a unit has " "'],
  ['WantedBy=$V', '50%', 'no name of a unit has "%"'],
  ['BindPaths=$V:/x', '/a:/b', 'BindPaths= cannot hold ":" there'],
  ['RuntimeDirectory=$V', 'a\\b', 'RuntimeDirectory= cannot hold "\\\\" there'],
  ['Environment=$V', 'token', 'each word after Environment= is to be NAME=VALUE'],
  ['Environment=A=\\$V', 'n', 'it stands after a backslash'],
  ['ExecStart=/bin/x "\\\n$V"', '#', 'it would make a comment of a line'],
] as const) {
  test(`${JSON.stringify(value)} in ${JSON.stringify(text)} is refused with variable, file and line`, () => {
    assert.throws(
      () => render(`[Unit]\n${text}\n`, value),
      (error: Error & { code: string; hint: string }) => {
        const line = text.endsWith('\n$V"') ? 3 : 2
        const start = `The value of 'V' cannot be written at line ${line} of '/exports/service.template': ${problem}`
        assert.equal(error.message.slice(0, start.length), start)
        assert.deepEqual([error.code, error.hint], ['template', 'Give another value: --set V=VALUE'])
        return true
      },
    )
  })
}

test('a value with a line break is refused with its line', () => {
  const message = "The value of 'V' has a line break, which line 2 of '/exports/service.template' cannot hold"
  for (const value of ['a\nUser=root', 'a\r', 'a\0']) {
    assert.throws(() => render('[Service]\nEnvironment="A=$V"\n', value), { code: 'template', message })
  }
})

test('a backslash at the end of a value leaves the next setting alone', () => {
  const unit = parseUnit(render('[Service]\nEnvironment=A=$V\nUser=nobody\n', 'abc\\'))
  assert.equal(unitValue(unit, 'Service', 'User'), 'nobody')
})
