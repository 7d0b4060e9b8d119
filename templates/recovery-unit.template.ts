/**
 * Runs at a boot only while a journal is there: what a power cut left, and updates that wait for the boot. It is made with the
 * first journal, and goes with the last. `boot-complete.target` is what systemd's boot assessment waits for: a service
 * that is not up after all fails a boot that counts its tries.
 */
export const recoveryUnitTemplate = `# Made by forerun, and removed when it has nothing to do any more.
[Unit]
Description=Judge updates of system containers, and finish or undo what forerun was doing
Documentation=man:forerun(1)
ConditionDirectoryNotEmpty=$JOURNAL
RequiresMountsFor=$JOURNAL
After=default.target multi-user.target graphical.target
Before=boot-complete.target

[Service]
Type=oneshot
ExecStart=$COMMAND recover
TimeoutStartSec=30min
`
