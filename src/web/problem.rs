//! Errors as RFC 9457 problem documents: one place decides status and title.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

use crate::receive::Refused;
use crate::store::StoreError;
use crate::verify::Refusal;

/// What went wrong with a request, as the sender sees it.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    pointer: Option<String>,
    /// A refused delivery's cause, in the word that lists and metrics have for it.
    cause: Option<&'static str>,
    retry_after: Option<u32>,
}

impl Problem {
    /// A problem with this status.
    pub fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title,
            detail: detail.into(),
            pointer: None,
            cause: None,
            retry_after: None,
        }
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", detail)
    }

    /// The request is not as it must be.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad request", detail)
    }

    /// What is there does not allow it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict", detail)
    }

    /// The admin token is missing or wrong.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            "send the header Authorization: Bearer <admin.token>",
        )
    }

    /// Requests without a right token come too fast.
    pub fn too_many(retry_after: u32) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many requests",
            "too many requests without the right admin token; the right one is let through at once",
        );
        problem.retry_after = Some(retry_after);
        problem
    }

    /// Try again later.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Service unavailable",
            detail,
        );
        problem.retry_after = Some(2);
        problem
    }

    fn store_away() -> Self {
        Self::unavailable("the store cannot be used right now; send it again")
    }

    fn body(&self) -> Value {
        let mut body = json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(cause) = self.cause {
            body["cause"] = json!(cause);
        }
        if let Some(pointer) = &self.pointer {
            body["pointer"] = json!(pointer);
            body["errors"] = json!([{"pointer": pointer, "detail": self.detail}]);
        }
        body
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.content_type("application/problem+json");
        if let Some(seconds) = self.retry_after {
            response.insert_header(("Retry-After", seconds.to_string()));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header(("WWW-Authenticate", "Bearer"));
        }
        response.body(self.body().to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => {
                Self::unavailable("too much is waiting to be written; send it again")
            }
            StoreError::Closed => Self::unavailable("billhook is stopping; send it again"),
            // The log has it already, once for all that meet it.
            StoreError::Troubled { what, .. } => Self::unavailable(what.to_string()),
            StoreError::Unavailable(_)
            | StoreError::Address(_)
            | StoreError::Copy(_)
            | StoreError::Lost(_)
            | StoreError::Unlike(_)
            | StoreError::OtherKey
            | StoreError::InUse(_) => {
                // What the database said is for the log, not for a stranger.
                tracing::error!(%error, "the store refused");
                Self::store_away()
            }
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let (detail, cause) = (refused.to_string(), refused.cause());
        let (status, title) = match refused {
            // Why not is for those who run it: /readyz, the API and the log say it.
            Refused::Store(StoreError::Troubled { .. }) => return Self::store_away(),
            Refused::Store(error) => return error.into(),
            Refused::Signature(Refusal::MissingHeader(_)) => {
                (StatusCode::UNAUTHORIZED, "Signature missing")
            }
            Refused::Signature(_) | Refused::RepeatedHeader(_) => {
                (StatusCode::UNAUTHORIZED, "Signature refused")
            }
            Refused::Address => (StatusCode::FORBIDDEN, "Address not allowed"),
            Refused::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "Body too large"),
            Refused::ContentType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
            }
            Refused::NotJson(_) => (StatusCode::BAD_REQUEST, "Not JSON"),
            Refused::Truncated => (StatusCode::BAD_REQUEST, "Body cut off"),
            Refused::Conflict { .. } => (StatusCode::CONFLICT, "Id used before"),
            Refused::OtherInstallation { .. } => (StatusCode::CONFLICT, "Another installation"),
            Refused::Wrong { pointer, detail } => {
                let mut problem = Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "Field missing or wrong",
                    detail,
                );
                problem.pointer = Some(pointer);
                problem.cause = Some(cause);
                return problem;
            }
        };
        let mut problem = Self::new(status, title, detail);
        problem.cause = Some(cause);
        problem
    }
}
