//! Serves the page to browsers on this machine.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

/// What the page may load, and from where: its own files, and pictures that it made itself.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self' blob:; worker-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 8] = [
    // A browser asks again every time, so a new build is seen at once.
    ("cache-control", "no-cache"),
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    // These two isolate the page from other origins; then timers are finer.
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(self)"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
];

/// A server with its port.
pub struct Server {
    listener: TcpListener,
    port: u16,
}

impl Server {
    /// Takes a port of 127.0.0.1, any free one for 0. From now on connections wait to be served.
    pub fn bind(port: u16) -> Result<Self> {
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                bail!(
                    "port {port} of 127.0.0.1 is in use: name another with `--port PORT`, or any free one with `--port 0`"
                )
            }
            listener => listener.with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?,
        };
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// The page's address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Serves a folder until the program ends.
    pub fn run(self, folder: &Path) -> Result<()> {
        self.listener.set_nonblocking(true)?;
        tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            Ok(axum::serve(listener, router(folder)).await?)
        })
    }
}

fn router(folder: &Path) -> Router {
    let files = Router::new().fallback_service(ServeDir::new(folder));
    HEADERS.into_iter().fold(files, |router, (name, value)| {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        router.layer(SetResponseHeaderLayer::overriding(name, value))
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    /// The answer to a request, headers and body.
    fn get(port: u16, path: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn files_come_with_their_types_and_headers() {
        let folder = std::env::temp_dir().join(format!("xtask-server-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["index.html", "a.js", "a.wasm", "a.css", "a.webmanifest"] {
            std::fs::write(folder.join(name), name).unwrap();
        }
        let server = Server::bind(0).unwrap();
        let (port, served) = (server.port, folder.clone());
        std::thread::spawn(move || server.run(&served));

        for (path, kind, body) in [
            ("/", "text/html", "index.html"),
            ("/a.js", "text/javascript", "a.js"),
            ("/a.wasm", "application/wasm", "a.wasm"),
            ("/a.css", "text/css", "a.css"),
            ("/a.webmanifest", "application/manifest+json", "a.webmanifest"),
        ] {
            let answer = get(port, path);
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(body), "{answer}");
            assert!(answer.contains(&format!("content-type: {kind}\r\n")), "{answer}");
            for (name, value) in HEADERS {
                assert!(answer.contains(&format!("{name}: {value}\r\n")), "{name} in {answer}");
            }
        }
        assert!(get(port, "/missing").starts_with("HTTP/1.1 404"));
        assert!(get(port, "/../Cargo.toml").starts_with("HTTP/1.1 404"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_port_in_use_is_named() {
        let first = Server::bind(0).unwrap();
        let error = Server::bind(first.port).err().unwrap().to_string();
        assert!(error.contains(&format!("port {} ", first.port)) && error.contains("--port 0"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}
