//! Codes of failures, and when to come back.

use pingora_error::{Error, ErrorType};

use super::*;

#[test]
fn a_failure_says_whose_fault_it_was() {
    let up = |kind: ErrorType| Error::new(kind).into_up();
    let down = |kind: ErrorType| Error::new(kind).into_down();
    for (e, started, wanted) in [
        (up(ErrorType::ConnectTimedout), false, Some(Code::ConnectTimeout)),
        (up(ErrorType::ConnectRefused), false, Some(Code::ConnectRefused)),
        (up(ErrorType::ReadTimedout), false, Some(Code::FirstByteTimeout)),
        (up(ErrorType::ReadTimedout), true, Some(Code::IdleTimeout)),
        (up(ErrorType::ConnectionClosed), false, Some(Code::InstanceReset)),
        (up(ErrorType::InvalidHTTPHeader), false, Some(Code::InstanceGarbage)),
        (down(ErrorType::WriteError), false, None),
        (down(ErrorType::ConnectionClosed), false, None),
        (down(ErrorType::H2Error), false, None),
        (down(ErrorType::ReadTimedout), false, Some(Code::RequestTimeout)),
        (down(ErrorType::InvalidHTTPHeader), false, Some(Code::BadRequest)),
        (Error::new(ErrorType::InternalError), false, Some(Code::Internal)),
    ] {
        assert_eq!(code_of(&e, started), wanted, "{e}");
    }
}

#[test]
fn every_429_and_503_says_when_to_come_back_and_nothing_else_does() {
    for code in Code::ALL {
        let wanted = matches!(code.status(), 429 | 503);
        assert_eq!(retry_after(*code, 0.5).is_some(), wanted, "{code}");
        assert!(retry_after(*code, 0.0) <= retry_after(*code, 1.0));
    }
    assert_eq!((retry_after(Code::AppDown, 0.0), retry_after(Code::AppDown, 1.0)), (Some(20), Some(40)));
}

#[test]
fn a_page_comes_back_by_itself_unless_it_was_posted_or_its_owner_has_to_act() {
    assert_eq!(refresh_after(Code::AppDown, &Method::GET, 0.5), Some(30));
    assert_eq!(refresh_after(Code::AppDown, &Method::POST, 0.5), None);
    assert_eq!(refresh_after(Code::AppStopped, &Method::GET, 0.5), None);
    assert_eq!(refresh_after(Code::UnknownHost, &Method::GET, 0.5), None);
}
