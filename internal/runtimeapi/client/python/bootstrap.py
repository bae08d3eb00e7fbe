# Starts the Python runtime client. It stays this small because a script, unlike
# a module, is compiled anew at each start.
import lambdad_runtime

lambdad_runtime.main()
