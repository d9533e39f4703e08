//! Speaks HTTP with JSON to a running Seawall over its Unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use seawall_messages::api::{ErrorBody, RuleAdded, SOCKET_FILE};
use seawall_messages::policy::NewRule;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// The longest answer that is read: far beyond ten thousand connections.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// How long a quick question may take.
pub(crate) const QUICK: Duration = Duration::from_secs(5);

/// How long a change may take to come into force.
pub(crate) const SLOW: Duration = Duration::from_secs(30);

/// The run folder where nobody names another.
pub(crate) const USUAL_RUN_DIR: &str = "/run/seawall";

/// Wait before a question is asked again.
const RETRY: Duration = Duration::from_millis(50);

/// Whether a question may be asked again when its connection breaks: the
/// component that had it in hand may just be coming back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing the second time.
    Safe,
    /// It might.
    Never,
}

/// Where to ask.
pub(crate) struct Client {
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error("Seawall is not running: nobody answers at {}", socket.display())]
    NotRunning {
        /// Where it was looked for.
        socket: PathBuf,
    },
    /// The socket is there, and nobody answers in time.
    #[error("Seawall does not answer within {} seconds", after.as_secs())]
    Silent {
        /// How long was waited.
        after: Duration,
    },
    /// The caller may not.
    #[error("can't open {}: permission denied: that is for root and the group seawall", socket.display())]
    Forbidden {
        /// Which socket.
        socket: PathBuf,
    },
    /// It answered, and said no.
    #[error("{0}")]
    Refused(String),
    /// It answered that it can't just now.
    #[error("{0}")]
    Unable(String),
    /// The conversation broke.
    #[error("can't {doing}")]
    Broken {
        /// What was attempted.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ClientError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotRunning { socket } if *socket == Path::new(USUAL_RUN_DIR).join(SOCKET_FILE) => {
                Some("start it with `sudo seawall run`; `seawall status` says more".to_owned())
            }
            Self::NotRunning { .. } => Some(
                "start it with `sudo seawall run`, with the same --run-dir, or leave that out here"
                    .to_owned(),
            ),
            Self::Silent { .. } => Some(
                "look at its log lines; `seawall status` says whether packets are judged".to_owned(),
            ),
            Self::Forbidden { .. } => Some(
                "put `sudo` before the command, or join the group: `sudo usermod -aG seawall $USER`, then log in again"
                    .to_owned(),
            ),
            Self::Refused(_) | Self::Unable(_) | Self::Broken { .. } => None,
        }
    }
}

impl Client {
    /// A client of the Seawall with this run folder.
    pub(crate) fn new(run_dir: &Path) -> Self {
        Self { socket: run_dir.join(SOCKET_FILE) }
    }

    /// Asks something.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(Method::GET, path, None::<&()>, QUICK, Repeat::Safe)
    }

    /// Has a rule written and put in force. Asked again, it is there already.
    pub(crate) fn add_rule(&self, rule: &NewRule) -> Result<RuleAdded, ClientError> {
        self.send(Method::POST, "/v1/rules", Some(rule), SLOW, Repeat::Safe)
    }

    /// Sends a request, with a body or without, and reads the answer.
    pub(crate) fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        at_most: Duration,
        repeat: Repeat,
    ) -> Result<T, ClientError> {
        let body = match body {
            Some(value) => serde_json::to_vec(value).map_err(broken("write the request"))?,
            None => Vec::new(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "seawall")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(broken("write the request"))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(broken("start"))?;
        runtime.block_on(async {
            let answer = async {
                loop {
                    match self.converse(request.clone()).await {
                        Err(ClientError::Broken { .. }) if repeat == Repeat::Safe => {
                            tokio::time::sleep(RETRY).await;
                        }
                        answer => return answer,
                    }
                }
            };
            tokio::time::timeout(at_most, answer)
                .await
                .unwrap_or(Err(ClientError::Silent { after: at_most }))
        })
    }

    async fn converse<T: DeserializeOwned>(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<T, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| self.unreachable(e))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken("greet Seawall"))?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(broken("send the request"))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|source| ClientError::Broken { doing: "read the answer", source })?
            .to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(broken("understand the answer"));
        }
        let said = serde_json::from_slice::<ErrorBody>(&body)
            .map_or_else(|_| format!("Seawall answered {status}"), |body| body.error);
        Err(match status {
            StatusCode::SERVICE_UNAVAILABLE => ClientError::Unable(said),
            _ => ClientError::Refused(said),
        })
    }

    fn unreachable(&self, error: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning { socket }
            }
            io::ErrorKind::PermissionDenied => ClientError::Forbidden { socket },
            _ => broken("reach Seawall")(error),
        }
    }
}

fn broken<E: std::error::Error + Send + Sync + 'static>(
    doing: &'static str,
) -> impl Fn(E) -> ClientError {
    move |source| ClientError::Broken { doing, source: Box::new(source) }
}
