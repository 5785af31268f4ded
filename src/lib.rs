//! Server-side user sessions that expire when the policy says, stay dead once ended, and tell why they ended.
