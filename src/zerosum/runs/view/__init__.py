"""What people look at: pictures, samples, pages."""
