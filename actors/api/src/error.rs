//! What can go wrong while a request is answered, and how it looks from outside.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use seawall_messages::api::ErrorBody;
use seawall_runtime::AskError;

/// Why a request is not answered as it wished.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A component gave no answer.
    #[error("{component} gives no answer")]
    Unanswered {
        /// Which one.
        component: &'static str,
        /// What became of the question.
        #[source]
        source: AskError,
    },
    /// The policy is changed, and something keeps it from being in force.
    #[error("not in force yet, and tried again: {0}")]
    NotInForce(String),
    /// The request is understood, and refused as things are.
    #[error("{0}")]
    Conflict(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The caller may not.
    #[error("only root may do this")]
    Forbidden,
}

impl Error {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unanswered { .. } | Self::NotInForce(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Forbidden => StatusCode::FORBIDDEN,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Unanswered { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.status(), Json(ErrorBody { error: self.text() })).into_response()
    }
}
