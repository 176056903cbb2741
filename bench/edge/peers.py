"""The servers, each configured for speed on one core, with the same site."""

import json
import resource
import shutil
from pathlib import Path

from fleet import Fleet
from server import CLIENT_CORE, SERVER_CORE, Server, free_port, spawn
from site_files import HOST

# An edge puts an idle connection aside after half of it at the latest.
HEADER_TIMEOUT_S = 90

# Debian's nginx loads modules from here.
BROTLI = "/usr/lib/nginx/modules/ngx_http_brotli_static_module.so"


class Verge:
    """An origin, on the client's core, that has the site. Close it."""

    def __init__(self, folder, site, binaries):
        self.folder, self.binaries, self.count = folder, binaries, 0
        self.fleet = Fleet(folder, binaries)
        self.fleet.push(site.directory, "--force")

    def edge(self, folder, settings=""):
        self.count += 1
        name, port, config = f"edge-{self.count}", free_port(), folder / "edge.toml"
        config.write_text(f"""
name = "{name}"
origins = ["{self.fleet.url}"]
token = "{self.fleet.issue_token(name)}"
base_domain = "localhost"
data = "{folder}/data"
listen = "127.0.0.1:{port}"
private_listen = "127.0.0.1:{free_port()}"
{settings}
[limits]
connections = 20000
trusted_proxies = ["127.0.0.1"]
requests_per_connection = 100000000
header_timeout_seconds = {HEADER_TIMEOUT_S}
""")
        return Server("verge", port, spawn([self.binaries / "verge-edge", "--config", config], folder / "edge.out"))

    def close(self):
        self.fleet.close()


def nginx(name, folder, port, http, core=SERVER_CORE):
    """nginx with the lines of its `http` block."""
    config = folder / "nginx.conf"
    # Files that are kept open need descriptors, besides connections.
    open_files = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 2000)
    config.write_text(f"""
load_module {BROTLI};
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit; user root;
events {{ worker_connections 20000; }}
http {{
    types {{ text/html html; text/javascript js; }}
    access_log off; log_not_found off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 600;
    open_file_cache max={open_files} inactive=1h; open_file_cache_valid 1m; open_file_cache_errors on;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    {http}
}}""")
    return Server(name, port, spawn(["nginx", "-c", config], folder / "nginx.out", core=core))


def nginx_static(folder, site, name="nginx", core=SERVER_CORE):
    port = free_port()
    (folder / "redirects.map").write_text("".join(f"{path} {target};\n" for path, target in site.redirects.items()))
    return nginx(name, folder, port, f"""
    map_hash_max_size 65536;
    map $uri $target {{ include {folder}/redirects.map; }}
    server {{
        listen 127.0.0.1:{port} backlog=16384; server_name {HOST}; root {site.directory}; absolute_redirect off;
        brotli_static on; error_page 404 /404.html;
        # Without `Vary` on each form, caches would give one to all.
        location = /large.js {{ add_header Vary Accept-Encoding; }}
        location /old/ {{ if ($target) {{ return 301 $target; }} }}
    }}""", core)


def backend(folder, site):
    """What caches fetch from: an nginx on the client's core."""
    return nginx_static(folder, site, "backend", CLIENT_CORE)


def proxy_cache(folder, behind):
    port = free_port()
    return nginx("proxy_cache", folder, port, f"""
    proxy_cache_path {folder}/cache levels=1:2 keys_zone=site:64m max_size=4g inactive=1d use_temp_path=off;
    upstream backend {{ server 127.0.0.1:{behind.port}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=16384; server_name {HOST};
        location / {{
            proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
            proxy_cache site; proxy_cache_valid 200 301 404 1d;
        }}
    }}""")


def varnish(folder, behind):
    port, config = free_port(), folder / "site.vcl"
    config.write_text(f"""
vcl 4.1;
backend files {{ .host = "127.0.0.1"; .port = "{behind.port}"; }}
sub vcl_backend_response {{ set beresp.ttl = 1d; }}
""")
    # With the support for gzip on, it would drop `br` from Accept-Encoding.
    parameters = {"thread_pools": 1, "thread_pool_min": 100, "http_gzip_support": "off", "timeout_idle": 600, "listen_depth": 16384}
    options = [option for name, value in parameters.items() for option in ("-p", f"{name}={value}")]
    command = ["varnishd", "-F", "-j", "none", "-n", folder / "varnish", "-a", f"127.0.0.1:{port}", "-T", "none", "-f", config, "-s", "malloc,1G", *options]
    return Server("varnish", port, spawn(command, folder / "varnish.out"))


def h2o(folder, site):
    port, config = free_port(), folder / "h2o.yaml"
    (folder / "redirects.json").write_text(json.dumps(site.redirects))
    config.write_text(f"""
num-threads: 1
max-connections: 20000
http1-request-timeout: 600
listen: {{host: 127.0.0.1, port: {port}}}
error-doc: {{status: 404, url: /404.html}}
hosts:
  "{HOST}":
    paths:
      "/":
        file.dir: {site.directory}
        file.send-compressed: ON
        file.mime.setdefaulttype: application/octet-stream
      "/old":
        mruby.handler: |
          targets = JSON.parse(File.open("{folder}/redirects.json").read)
          Proc.new do |env|
            target = targets[env["SCRIPT_NAME"] + env["PATH_INFO"]]
            target ? [301, {{"location" => target, "content-length" => "0"}}, []] : [399, {{}}, []]
          end
""")
    return Server("h2o", port, spawn(["h2o", "-c", config], folder / "h2o.out"))


def caddy(folder, site):
    port, config = free_port(), folder / "Caddyfile"
    rules = "\n".join(f"        {path} {target}" for path, target in site.redirects.items())
    config.write_text(f"""
{{
    admin off
    auto_https off
    storage file_system {folder}/caddy
    log {{
        output discard
    }}
    servers {{
        timeouts {{
            idle 10m
        }}
    }}
}}
http://{HOST}:{port} {{
    bind 127.0.0.1
    root * {site.directory}
    map {{path}} {{target}} {{
{rules}
    }}
    handle /old/* {{
        redir {{target}} 301
    }}
    handle {{
        file_server {{
            precompressed br
        }}
    }}
    handle_errors {{
        rewrite * /404.html
        file_server
    }}
}}
""")
    environment = {"GOMAXPROCS": "1", "HOME": str(folder)}
    return Server("caddy", port, spawn(["caddy", "run", "--config", config, "--adapter", "caddyfile"], folder / "caddy.out", environment))


def static_web_server(folder, site):
    port = free_port()
    options = {"host": "127.0.0.1", "port": port, "root": site.directory, "page404": site.directory / "404.html", "log-level": "error"}
    switches = {"compression": "false", "compression-static": "true", "cache-control-headers": "false"}
    command = ["static-web-server", *(f"--{name}={value}" for name, value in {**options, **switches}.items()), "--threads-multiplier=1"]
    return Server("static-web-server", port, spawn(command, folder / "server.out"))


# Each with its example in daemon/examples, and the workloads that it answers as the others do.
BASELINES = {
    # The HTTP stack of the edge with a minimal service.
    "floor": ("http_floor", ["small", "large", "close"]),
    # System calls, and next to nothing else.
    "bare": ("bare_loop", ["small", "large", "br", "close"]),
}


def baseline(name, folder, site, binaries):
    """It has the files at the root of the site."""
    port, program = free_port(), binaries / "examples" / BASELINES[name][0]
    return Server(name, port, spawn([program, port, site.directory], folder / "server.out"))


STATIC = {"nginx": nginx_static, "h2o": h2o, "caddy": caddy, "static-web-server": static_web_server}
CACHES = {"proxy_cache": proxy_cache, "varnish": varnish}
# static-web-server would need each redirect in a configuration of its own, searched one after another.
REDIRECTING = ["verge", "nginx", "proxy_cache", "varnish", "h2o", "caddy"]
# Of those that are not called as their program is.
PROGRAMS = {"proxy_cache": "nginx", "varnish": "varnishd"}


def is_installed(name):
    program = PROGRAMS.get(name, name)
    return name == "verge" or name in BASELINES or (shutil.which(program) is not None and (program != "nginx" or Path(BROTLI).exists()))
