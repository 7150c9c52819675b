/** A configuration to begin with: valid as it stands, every default said, what may be added as comments. */
export const sampleConfig = ({
  nodename,
  dataDir,
}: {
  nodename: string
  dataDir: string
}): string => `# Configuration of Sallyport. Start it with: sallyport start --config=sallyport.yaml
# Every key is explained in docs/configuration.md.

sallyport:
  nodename: ${nodename}
  data_dir: ${JSON.stringify(dataDir)}
  log:
    severity: info            # debug, info, warn, error
  # advertise_ip: 192.0.2.10  # how others reach this machine
  # spool_limit: 1GiB         # recordings kept here while the auth service of another machine is away
  # auth_servers: [auth.example.com:3025] # where the auth service is, if not on this machine
  # auth_token: /etc/sallyport/token      # to join its cluster, once; --ca-pin says how it is known
  # connection_limits:
  #   max_connections: 15000

auth_service:
  enabled: yes
  cluster_name: ${nodename}   # part of every host certificate: choose it before the first start
  listen_addr: 0.0.0.0:3025   # for proxies and nodes on other machines
  session_recording: proxy    # proxy: where it passes; node: at nodes; off: nowhere
  proxy_checks_host_keys: yes # no lets targets without a host certificate in
  authentication:
    type: local
    second_factor: otp        # otp or off
  # keep_alive_interval: 5m
  # recording_retention: 90d  # older recordings are removed; never, unless said otherwise

proxy_service:
  enabled: yes
  listen_addr: 0.0.0.0:3023     # SSH
  web_listen_addr: 0.0.0.0:3080 # HTTPS
  # tunnel_listen_addr: 0.0.0.0:3024 # nodes behind NAT, other clusters
  # public_addr: sallyport.example.com:443
  # https_key_file: /etc/sallyport/key.pem
  # https_cert_file: /etc/sallyport/cert.pem
  # dial:                       # which targets may be reached by address
  #   allow: [10.0.0.0/8, '*.example.com']
  #   deny: [10.0.0.5/32]

ssh_service:
  enabled: no                   # yes: this machine serves SSH sessions itself
  # listen_addr: 0.0.0.0:3022
  # labels: {env: production}
  # commands: [{name: kernel, command: [uname, -r], period: 1h}] # labels that programs say
  # permit_user_env: no
`
