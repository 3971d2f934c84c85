"""The bundled tasks: plain files like a user's own. Real data, and none of it downloaded but where a task says so."""
