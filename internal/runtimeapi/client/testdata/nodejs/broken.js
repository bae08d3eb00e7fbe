exports.h = async ( => {
