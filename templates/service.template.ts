/**
 * The unit of an image that carries none. It is text in a module, so that it is a part of the one bundled file.
 *
 * The runtime leaves after the start, so the main process is the container's own. It asks for no network: a service that
 * needs one waits for it itself or is ordered by a drop-in. `Before=` names the daemons that may need what runs here;
 * names that a host does not have mean nothing. Three seconds between restarts stay below the start limit of systemd.
 */
export const serviceTemplate = `[Unit]
Description=$NAME from $IMAGE_NAME
After=network.target nss-lookup.target
Before=containerd.service crio.service docker.service kubelet.service podman.service

[Service]
Type=forking
PIDFile=$PIDFILE
WorkingDirectory=$DESTDIR
ExecStart=$EXEC_START
ExecStopPost=-$EXEC_STOPPOST
KillMode=mixed
KillSignal=$STOP_SIGNAL
Restart=on-failure
RestartSec=3

[Install]
WantedBy=multi-user.target
`
