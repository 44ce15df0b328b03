"""The page that shows the jobs of services, as an application that can be mounted anywhere."""
